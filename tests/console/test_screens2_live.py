"""Nodes, VMs, addresses, flows and moves on a real session: each screen beside its verb, and what its keys do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bascule_agent.probes import Prober
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service
from bascule_console.app import BasculeApp
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.review.screen import Review
from bascule_console.screens.vms.attach import AttachForm
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_kube.kinds import VM, VMI, VMIM


@asynccontextmanager
async def running(live: Any, **options: Any) -> AsyncIterator[tuple[BasculeApp, Pilot[None]]]:
    store = Store()
    app = BasculeApp(store, Session(store, live.kubeconfig, options.pop("context", None)), **options)
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        yield app, pilot


async def until(pilot: Pilot[None], what: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await pilot.pause(0.05)


def text_of(app: BasculeApp) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def go(app: BasculeApp, pilot: Pilot[None], mode: str) -> DetailedScreen[Any]:
    app.open(mode)
    await until(pilot, lambda: isinstance(app.screen, DetailedScreen) and mode == app.screen.MODE and app.screen.tables)
    screen = app.screen
    assert isinstance(screen, DetailedScreen)
    return screen


def network(vlans: dict[int, str]) -> dict[str, Any]:
    entries = [{"vlan": {"id": vid}, "subnets": [{"cidr": cidr}]} for vid, cidr in vlans.items()]
    bridge = {"nodeSelector": "", "bridge": {"managedBridge": {"stp": "Disabled"}}}
    trunk = {"hostConnections": [{"trunkPort": {"interface": {"name": "trunk0"}}}]}
    spec = {"l2Bridge": {"hostConfig": [{**bridge, **trunk}], "vlans": entries}}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": {"name": "dc1"}, "spec": spec}


@pytest.fixture
async def small(live: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Three nodes, one of them silent, three VMs and a move that ended."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    await live.start(nodes=3, silent=("node3",))
    await live.put(network({110: "10.110.0.0/24", 120: "10.120.0.0/24", 4000: "127.0.0.0/24"}))
    for name, node in (("web-1", "node1"), ("web-2", "node2"), ("db-1", "node2")):
        await live.run(name, node)
    return live


async def a_move(live: Any, name: str, phase: str, **state: Any) -> dict[str, Any]:
    meta = {"name": f"{name}-move", "namespace": "vms"}
    spec = {"vmiName": name, "addedNodeSelector": {"kubernetes.io/hostname": "node2"}}
    made = await live.cluster.create(
        {"apiVersion": VMIM.api_version, "kind": VMIM.kind, "metadata": meta, "spec": spec}
    )
    status = {"phase": phase, "migrationState": {"sourceNode": "node1", "targetNode": "node2", **state}}
    found: dict[str, Any] = await live.cluster.replace({**made, "status": status}, subresource="status")
    return found


async def printed(live: Any, *words: str) -> Any:
    _, out, err = await live.bascule(*words, "-o", "json")
    assert "Traceback" not in err
    return json.loads(out)


def shown(screen: DetailedScreen[Any]) -> list[Any]:
    """The rows of a screen's table in its order, as JSON has them."""
    view = screen.table.view
    return json.loads(json.dumps([view.row(at) for at in range(len(view))], default=lambda row: row.row))


async def test_nodes_addresses_and_moves_show_what_their_verbs_print(small: Any, scene: Any) -> None:
    vmim = await a_move(small, "web-1", "Succeeded")
    small.agents["node2"].records.append(scene.move_record(vmim["metadata"]["uid"]))
    small.agents["node1"].drain(scene.record(20, "web-1", "web-2", packets=5))
    async with running(small) as (app, pilot):
        store = app.store
        await until(pilot, lambda: store.reports.asked and store.flows.heard and store.moves.rows([]))
        await until(pilot, lambda: all(map(store.inventory.synced, ("virtualmachines", "networks", "ippools"))))
        nodes = await go(app, pilot, "nodes")
        await until(pilot, lambda: len(nodes.table.view) == 3)
        rows = shown(nodes)
        assert [row.pop("silent") != "" for row in rows] == [False, False, True]
        assert rows == await printed(small, "nodes", "list")
        addresses = await go(app, pilot, "addresses")
        await until(pilot, lambda: any(row["seen"] for row in shown(addresses)))
        assert shown(addresses) == await printed(small, "addresses", "list")
        moves = await go(app, pilot, "moves")
        await until(pilot, lambda: len(moves.table.view) == 1)
        assert shown(moves) == await printed(small, "moves", "list")
        assert "KEPT" in text_of(app) and "400 sent every 5 ms, 3 lost" in text_of(app)


async def test_vms_and_flows_show_what_their_verbs_print(small: Any, scene: Any) -> None:
    small.agents["node1"].drain(scene.record(20, "web-1", "web-2", packets=5))
    async with running(small) as (app, pilot):
        vms = await go(app, pilot, "vms")
        await until(pilot, lambda: len(vms.table.view) == 3 and app.store.flows.heard)
        view = vms.table.view
        names = [row.key for at in range(3) if (row := view.row(at)) is not None]
        listed = await printed(small, "vms", "list")
        assert names == [f"{row['namespace']}/{row['name']}" for row in listed]
        await until(pilot, lambda: "VLAN 120 of dc1 by vms/vlan-120" in text_of(app))
        nics = (await printed(small, "vms", "show", "db-1"))["nics"]
        assert [(nic["name"], nic["vlan"], nic["effect"]) for nic in nics] == [("net-0", 120, "in effect")]
        flows = await go(app, pilot, "flows")
        await until(pilot, lambda: len(flows.table.view) == 1)
        assert shown(flows) == (await printed(small, "flows", "--last", "9"))["flows"]


async def test_a_silent_node_says_no_agent_wherever_a_fact_is_missing(small: Any) -> None:
    async with running(small) as (app, pilot):
        nodes = await go(app, pilot, "nodes")
        await until(pilot, lambda: app.store.reports.asked and len(nodes.table.view) == 3)
        nodes.show_key("node3")
        await until(pilot, lambda: "Node has no annotation bascule.dev/agent" in text_of(app))
        line = next(line for line in text_of(app).splitlines() if line.startswith("node3"))
        assert line.count("no agent") == 4
        await pilot.press("enter")
        await until(pilot, lambda: "run bascule-agent on this node" in text_of(app))
        await pilot.press("escape")
        nodes.show_key("node1")
        await pilot.press("enter")
        await until(pilot, lambda: "bsb-abcdefghij" in text_of(app) and "52:54:00:00:6e:01" in text_of(app))


async def test_attach_a_nic_from_the_screen(small: Any) -> None:
    async with running(small) as (app, pilot):
        vms = await go(app, pilot, "vms")
        await until(pilot, lambda: len(vms.table.view) == 3 and app.permits(app_action("attach_nic")))
        vms.show_key("vms/web-1")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AttachForm))
        await pilot.press("down", "down", "enter", *"10.120.0.77", "enter")
        await until(pilot, lambda: isinstance(app.screen, Review) and "networkName: vms/vlan-120" in text_of(app))
        await until(pilot, lambda: "a apply" in text_of(app))
        assert len((await small.cluster.get(VM, "web-1", "vms"))["spec"]["template"]["spec"]["networks"]) == 1
        await pilot.press("a")
        await until(pilot, lambda: app.screen is vms)
        template = (await small.cluster.get(VM, "web-1", "vms"))["spec"]["template"]
        assert [nic["name"] for nic in template["spec"]["networks"]] == ["net-0", "net-1"]
        assert template["metadata"]["annotations"]["cni.projectcalico.org/net-1.ipAddrs"] == '["10.120.0.77"]'
        await until(pilot, lambda: "takes effect after a restart" in text_of(app))
        records = [record.content for record in app.session.journal().records()]  # type: ignore[union-attr]
        assert [(r["what"], r["target"]["name"], r["undo"]["verb"]) for r in records] == [("apply", "web-1", "apply")]


def app_action(action_id: str) -> Any:
    from bascule_console.actions.registry import action

    return action(action_id)


async def test_the_viewer_has_no_danger_here(small: Any) -> None:
    await a_move(small, "web-1", "Scheduling")
    async with running(small, context="lab-viewer") as (app, pilot):
        for mode, key in (("vms", "a"), ("vms", "m"), ("moves", "x")):
            screen = await go(app, pilot, mode)
            await until(pilot, lambda found=screen: len(found.table.view) > 0)  # type: ignore[misc]
            await pilot.press(key)
            await pilot.pause(0.1)
            assert app.screen is screen
        assert len(await small.cluster.list(VMIM)) == 1


async def test_freeze_follow_copy_and_detail(small: Any, scene: Any) -> None:
    async with running(small) as (app, pilot):
        flows = await go(app, pilot, "flows")
        await until(pilot, lambda: app.store.flows.heard)
        small.agents["node1"].drain(scene.record(20, "web-1", "web-2", packets=5))
        await until(pilot, lambda: len(flows.table.view) == 1)
        await pilot.press("space")
        small.agents["node1"].drain(scene.record(20, "web-1", "db-1", packets=7), lost={"map-full": 2})
        await until(pilot, lambda: "frozen, +1 newer, 2 lost" in text_of(app))
        assert len(flows.table.view) == 1
        await pilot.press("c")
        assert "web-1:40000" in app.clipboard and "5 packets" in app.clipboard and "\n" not in app.clipboard
        await pilot.press("C")
        assert json.loads(app.clipboard)["packets"] == 5
        await pilot.press("enter")
        await until(pilot, lambda: "egress at vms/web-1 net-0 on node1, VLAN 110 of dc1" in text_of(app))
        await pilot.press("space", "f")
        await until(pilot, lambda: len(flows.table.view) == 2)
        assert not flows.table.view.follow
        await pilot.press("f")
        assert flows.table.view.follow and "following" in text_of(app)
        await pilot.press("v")
        await until(pilot, lambda: app.screen is not flows)
        row: Any = await until_row(app, pilot)
        assert row.name == "web-1"


async def until_row(app: BasculeApp, pilot: Pilot[None]) -> Any:
    await until(pilot, lambda: isinstance(app.screen, DetailedScreen) and app.screen.MODE == "vms" and app.screen.row)
    await pilot.pause(0.2)
    assert isinstance(app.screen, DetailedScreen)
    return app.screen.row


@asynccontextmanager
async def vantage(live: Any, folder: Path) -> AsyncIterator[None]:
    """A real probe point in this process's own namespace, registered as the contract says."""
    gate = Gate("gateway", live.cluster.create)
    listener = await listen(Service(Parts("gateway", probes=Prober("gateway")), gate), folder / "h15-probe.sock")
    points = {"gateway": json.dumps({"target": listener.target, "kind": "gateway"})}
    meta = {"name": "vantage-points", "namespace": "bascule-system"}
    try:
        await live.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bascule-system"}})
        await live.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": points})
        yield
    finally:
        await listener.stop()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="ICMP sockets need root")
async def test_addresses_are_asked_on_the_wire(small: Any, tmp_path: Path) -> None:
    """Loopback answers for every 127/8 address, a documentation address never does."""
    async with vantage(small, tmp_path):
        code, out, err = await small.bascule("addresses", "check", "127.0.0.9", "-o", "json")
        assert code == 5 and "node3 is silent" in err
        (row,) = json.loads(out)
        assert (row["vlan"], row["answering"], row["state"], row["answer"]["from"]) == (
            4000,
            True,
            "stranger",
            "gateway",
        )
        assert row["answer"]["received"] == row["answer"]["sent"] > 0
        async with running(small) as (app, pilot):
            addresses = await go(app, pilot, "addresses")
            await until(pilot, lambda: len(addresses.table.view) == 3)
            app.store.keep_answer(("dc1", 4000, "127.0.0.9"), answer_of(row))
            await until(pilot, lambda: addresses.show_key(("dc1", 4000, "127.0.0.9")))
            await pilot.press("p")
            await until(pilot, lambda: app.store.answers["dc1", 4000, "127.0.0.9"].received > 0)
            await until(pilot, lambda: "✓ yes" in text_of(app))


def answer_of(row: Any) -> Any:
    from bascule_console.store.addresses import Answer

    return Answer("gateway", row["answer"]["sent"], 0, None, "")


async def test_a_check_that_nobody_can_make_is_partial(small: Any) -> None:
    code, out, err = await small.bascule("addresses", "check", "web-1", "-o", "json")
    assert code == 5
    (row,) = json.loads(out)
    assert row["answering"] is None and "1 of 1 could not be asked" in err


async def test_a_conflict_is_exit_1(small: Any) -> None:
    from bascule_kube.cluster import Obj

    twin: Obj = await small.cluster.get(VM, "web-1", "vms")
    made = {key: twin[key] for key in ("apiVersion", "kind", "spec")}
    await small.put({**made, "metadata": {"name": "twin", "namespace": "vms"}})
    code, out, err = await small.bascule("addresses", "check", "10.110.0.11", "-o", "json")
    assert code == 1
    assert "claimed by vms/twin and vms/web-1" in json.loads(out)[0]["conflicts"][0]
    assert "conflict: 10.110.0.11 on VLAN 110" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("addresses", "show", "10.9.9.9"), 1, "nothing is known about"),
        (("addresses", "check", "10.9.9.9"), 1, "nothing is known about"),
        (("addresses", "show", "10.110.0.999"), 2, "no IPv4 address"),
        (("vms", "attach", "web-1", "--nad", "nope"), 1, "there is no NetworkAttachmentDefinition vms/nope"),
        (("vms", "attach", "web-1", "--nad", "vlan-120", "--nic", "net-0"), 4, "has a NIC net-0 already"),
        (("vms", "attach", "web-1", "--nad", "vlan-120", "--mac", "nope"), 1, "not a MAC address"),
        (("vms", "attach", "web-1", "--nad", "vlan-120", "--ip", "10.110.0.5"), 1, "outside the VLAN's subnets"),
        (("--read-only", "vms", "attach", "web-1", "--nad", "vlan-120"), 4, "read-only"),
        (("--context", "lab-viewer", "vms", "attach", "web-1", "--nad", "vlan-120"), 4, "forbidden"),
        (("moves", "abort", "web-1"), 4, "no migration of 'web-1' is running"),
        (("--read-only", "moves", "abort", "web-1"), 4, "read-only"),
    ],
)
async def test_refusals(small: Any, words: tuple[str, ...], code: int, said: str) -> None:
    got, out, err = await small.bascule(*words)
    assert (got, out) == (code, ""), err
    assert said in err and "Traceback" not in err


async def test_a_move_is_taken_back_by_deleting_it(small: Any) -> None:
    await a_move(small, "web-1", "Scheduling")
    code, out, err = await small.bascule("moves", "abort", "web-1", "-o", "json")
    assert code == 0, err
    assert json.loads(out) == [{"name": "web-1", "namespace": "vms", "migration": "web-1-move", "node": "node1"}]
    assert await small.cluster.list(VMIM) == []


async def test_an_abort_that_comes_too_late_says_where_the_vm_is(small: Any) -> None:
    """KubeVirt keeps the VMIM until it has cancelled the job; here the job wins."""
    vmim = await a_move(small, "web-1", "Running", mode="PreCopy", migrationUid="x")
    vmi = await small.cluster.get(VMI, "web-1", "vms")
    state = {"migrationUid": vmim["metadata"]["uid"], "completed": False}
    vmi = await small.cluster.replace(
        {**vmi, "status": {**vmi["status"], "migrationState": state}}, subresource="status"
    )

    async def arrive() -> None:
        while await small.cluster.list(VMIM):
            await asyncio.sleep(0.05)
        await small.cluster.replace({**vmi, "status": {**vmi["status"], "nodeName": "node2"}}, subresource="status")

    (code, out, err), _ = await asyncio.gather(small.bascule("moves", "abort", "vms/web-1"), arrive())
    assert (code, out) == (1, "")
    assert "moved to node2 all the same" in err and "--to node1" in err


async def test_post_copy_cannot_be_taken_back(small: Any) -> None:
    await a_move(small, "web-1", "Running", mode="PostCopy")
    code, _, err = await small.bascule("moves", "abort", "web-1-move")
    assert code == 4 and "post-copy" in err
    assert len(await small.cluster.list(VMIM)) == 1


async def test_the_move_command_prints_each_phase_with_its_own_time(small: Any) -> None:
    """KubeVirt's part is played by the test: all phases arrive in one event, with times of their own."""

    async def play() -> None:
        while not (found := await small.cluster.list(VMIM)):
            await asyncio.sleep(0.05)
        names = ("Pending", "Scheduling", "Running", "Succeeded")
        stamps = [
            {"phase": name, "phaseTransitionTimestamp": f"2026-11-23T12:00:0{at}.250000Z"}
            for at, name in enumerate(names)
        ]
        status = {"phase": "Succeeded", "phaseTransitionTimestamps": stamps}
        await small.cluster.replace({**found[0], "status": status}, subresource="status")

    (_, _, err), _ = await asyncio.gather(small.bascule("vms", "move", "web-1", "--to", "node3"), play())
    told = [line.split()[:3] for line in err.splitlines() if line.strip().startswith(("0", "1", "2", "3"))]
    assert told[-3:] == [["1.00", "s", "Scheduling"], ["2.00", "s", "Running"], ["3.00", "s", "Succeeded"]]
