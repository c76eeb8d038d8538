"""The trunk screens on a real session: real services, API server and agents' gRPC; behind the agents no node, but what
one would answer. Each screen beside its verb, and every change with keys only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from bascule.resources.network import Network
from bascule.trunks import change as c
from bascule.trunks.change import Change, Wish
from bascule.trunks.questions import config_of
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service
from bascule_console.app import BasculeApp
from bascule_console.screens.dialogs import Confirm
from bascule_console.screens.trunks.change import ChangeScreen
from bascule_console.screens.trunks.form import OrderForm
from bascule_console.screens.trunks.proof import ProofScreen
from bascule_console.screens.trunks.screen import TrunksScreen
from bascule_console.screens.trunks.typed import TypeNode
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_kube.kinds import NETWORK, NODE

VLANS = (110, 120)
STEPS = (("tc filter add dev {0} ingress bpf trunk_in", "tc filter delete dev {0} ingress bpf trunk_in"),)


class Wire:
    """What a node answers about its trunks: links, VLANs that reach it, VMs on it; `ends` is how a change ends here."""

    def __init__(self, name: str, live: Any) -> None:
        self.name, self.live = name, live
        self.missing: set[int] = set()
        self.vms: list[str] = []
        self.ends = c.CONFIRMED
        self.change: Change | None = None
        self._known: dict[str, Any] | None = None
        self._accepted = ""

    async def prove(self, network: str, vlans: Set[int], mtu: int) -> list[dict[str, Any]]:
        document = await self._network()
        return self._cells(document) if document else []

    def _cells(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        trunk = self._trunk(document)
        return [self._cell(vlan, trunk) for vlan in VLANS] if trunk else []

    def _cell(self, vlan: int, trunk: str) -> dict[str, Any]:
        good = vlan not in self.missing
        evidence = f"10.{vlan}.0.1 answers tagged on {trunk}" if good else f"nobody answered tagged on {trunk}"
        verdict = "proven" if good else "unproven"
        return {"node": self.name, "network": "dc1", "vlan": vlan, "verdict": verdict, "evidence": evidence}

    async def candidates(self, seconds: float) -> list[dict[str, Any]]:
        document = await self._network()
        used = self._trunk(document) if document else ""
        return [self._link(name, used) for name in ("eth1", "mgmt0", "trunk0")]

    def _link(self, name: str, used: str) -> dict[str, Any]:
        route = name == "mgmt0"
        problem = "the node's default route leaves through mgmt0" if route else ""
        more = {"speed": 10000, "mtu": 1500, "member_of": "", "vlans": [] if route else [*VLANS]}
        found = {"node": self.name, "name": name, "mac": "02:00:00:00:00:01", "up": True, "carrier": True, **more}
        network = "dc1" if name == used else ""
        problem = "it is the trunk of Network dc1" if network else problem
        return {**found, "default_route": route, "network": network, "problem": problem}

    async def plan(self, document: str) -> dict[str, Any]:
        wanted = json.loads(document)
        trunk, before = self._trunk(wanted), self._trunk(self._known or wanted)
        steps = [{"do": do.format(trunk), "undo": undo.format(trunk)} for do, undo in STEPS] if trunk != before else []
        traffic = {"flows": 12, "packets": 340, "bytes": 51_000}
        blast = {"vms": self.vms, "vlans": ["dc1/110"], "links": [trunk or before], "traffic": traffic}
        outcome = {"network": "dc1", "ready": True, "reason": "Ready", "message": f"dc1: trunk {trunk}"}
        return {"node": self.name, "steps": steps, "outcomes": [outcome], "blast": blast, "proof": self._cells(wanted)}

    def answer(self, change: str, keep: bool, who: str) -> dict[str, Any]:
        assert self.change is not None and self.change.state == c.WAITING and self.change.id == change
        self._end(c.CONFIRMED if keep else c.ROLLED_BACK, "" if keep else f"taken back: {who} took it back")
        return self.change.as_dict()

    async def report(self) -> dict[str, Any]:
        document = await self._network()
        if document is not None:
            self._take(document)
        found = await self.live.agents[self.name].report()
        change = self.change.as_dict() if self.change else None
        return {**found, "change": change, "accepted": {"dc1": self._accepted}, "networks": [], "findings": []}

    def _take(self, document: dict[str, Any]) -> None:
        """As the agent's pass: a change where the trunk becomes another, else it is accepted as it is."""
        before, self._known = self._known or document, document
        wish = Wish.of(Network.of(document))
        if self._trunk(before) != self._trunk(document) and (self.change is None or self.change.id != wish.id):
            now = time.time_ns()
            ends, state = now + int(wish.seconds * 1e9), c.WAITING if wish.manual else c.APPLYING
            self.change = Change(wish.id, ("dc1",), ("a step",), now, ends, state, wish.manual, {"gateway": ""})
        elif self.change is not None and self.change.state == c.APPLYING:
            self._end(self.ends, "" if self.ends == c.CONFIRMED else "taken back: VLAN 110 does not answer any more")
        if self.change is None or not self.change.pending:
            self._accepted = wish.id

    def _end(self, state: str, why: str) -> None:
        assert self.change is not None
        self.change.state, self.change.why = state, why

    def _trunk(self, document: dict[str, Any]) -> str:
        config = config_of(Network.of(document), {"kubernetes.io/hostname": self.name})
        return config.trunk.interface if config and config.trunk else ""

    async def _network(self) -> dict[str, Any] | None:
        found = [doc for doc in await self.live.cluster.list(NETWORK) if doc["metadata"]["name"] == "dc1"]
        return found[0] if found else None


def network(name: str = "dc1", selector: str = "", link: str = "trunk0") -> dict[str, Any]:
    vlans = [{"vlan": {"id": vid}, "subnets": [{"cidr": f"10.{vid}.0.0/24"}]} for vid in VLANS]
    entry = {"nodeSelector": selector, "bridge": {"managedBridge": {"stp": "Disabled"}}}
    trunk = {"hostConnections": [{"trunkPort": {"interface": {"name": link}}}]}
    spec = {"l2Bridge": {"hostConfig": [{**entry, **trunk}], "vlans": vlans}}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def wires(live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Wire]]:
    """Two nodes with trunks, a third without an agent, Network dc1 on all."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    await live.start(nodes=3, silent=("node3",))
    await live.put(network())
    found, listeners = {}, []
    for name, agent in live.agents.items():
        wire = found[name] = Wire(name, live)
        parts = Parts(name, wire.report, agent.hub, agent, trunks=wire)
        listener = await listen(Service(parts, Gate(name, live.cluster.create)), tmp_path / f"{name}-trunks.sock")
        listeners.append(listener)
        published = json.dumps({"target": listener.target, "caHash": "", "mode": "manage", "version": "0.1.0"})
        await live.cluster.merge_patch(NODE, name, {"metadata": {"annotations": {"bascule.dev/agent": published}}})
        await wire.report()
    try:
        yield found
    finally:
        for listener in listeners:
            await listener.stop()


@asynccontextmanager
async def running(live: Any, **options: Any) -> AsyncIterator[tuple[BasculeApp, Pilot[None], TrunksScreen]]:
    """The app on the trunk screen, its first look and proof made."""
    store = Store()
    app = BasculeApp(store, Session(store, live.kubeconfig, options.pop("context", None)), **options)
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        app.open("trunks")
        await until(pilot, lambda: isinstance(app.screen, TrunksScreen) and store.trunks.candidates.at_ns)
        await until(pilot, lambda: store.trunks.proof.at_ns and store.inventory.all("networks"))
        screen = app.screen
        assert isinstance(screen, TrunksScreen)
        await until(pilot, lambda: len(screen.table.view) == 7)
        yield app, pilot, screen


async def until(pilot: Pilot[None], what: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await pilot.pause(0.05)


def text_of(app: BasculeApp) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def see(app: BasculeApp, pilot: Pilot[None], words: str) -> None:
    try:
        await until(pilot, lambda: words in text_of(app))
    except TimeoutError:
        pytest.fail(f"{words!r} did not come up:\n{text_of(app)}")


async def on(pilot: Pilot[None], kind: type[Screen[Any]]) -> Any:
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and pilot.app.screen.focused is not None)
    await pilot.pause(0.1)
    return pilot.app.screen


async def printed(live: Any, *words: str) -> Any:
    _, out, err = await live.bascule(*words, "-o", "json")
    assert "Traceback" not in err
    return json.loads(out)


async def trunks_of(live: Any) -> dict[str, str]:
    """Who gets which trunk, as the API has it."""
    document = await live.cluster.get(NETWORK, "dc1")
    configs = {n: config_of(Network.of(document), {"kubernetes.io/hostname": f"node{n}"}) for n in (1, 2, 3)}
    return {f"node{n}": found.trunk.interface if found and found.trunk else "" for n, found in configs.items()}


async def permitted(app: BasculeApp, pilot: Pilot[None], screen: TrunksScreen) -> None:
    await until(pilot, lambda: screen.check_action("attach_trunk", ()))


async def plan_attach(app: BasculeApp, pilot: Pilot[None], screen: TrunksScreen, *keys: str) -> ChangeScreen:
    """Mark eth1 of node1 and go through the form to the plan; `keys` in the form."""
    await permitted(app, pilot, screen)
    assert screen.show_key(("node1", "eth1"))
    await pilot.press("space", "a")
    await on(pilot, OrderForm)
    await pilot.press(*keys, "ctrl+s")
    found: ChangeScreen = await on(pilot, ChangeScreen)
    return found


async def test_the_screens_show_what_the_verbs_print_and_one_cell_changes(live: Any, wires: dict[str, Wire]) -> None:
    async with running(live) as (app, pilot, screen):
        view = screen.table.view
        rows = [row for at in range(len(view)) if (row := view.row(at)) is not None]
        assert [dict(row) for row in rows if row["name"]] == await printed(live, "trunks", "list", "--listen", "0")
        assert [row["node"] for row in rows if not row["name"]] == ["node3"]
        assert screen.show_key(("node3", ""))
        await see(app, pilot, "its Node has no annotation bascule.dev/agent: no agent runs there")
        assert "4 proven" in text_of(app) and "1 silent" in text_of(app)
        screen.show_key(("node2", "trunk0"))
        await see(app, pilot, "dc1[0] all(): trunk0, first match wins")
        await pilot.press("m")
        matrix = await on(pilot, ProofScreen)
        await until(pilot, lambda: matrix.table.node == "node2")
        good = [cell for line in matrix.table.view.source.rows().values() for cell in line.cells.values()]
        assert sorted(map(json.dumps, good)) == sorted(map(json.dumps, await printed(live, "trunks", "prove")))
        wires["node2"].missing.add(110)
        proven = app.store.trunks.proof.at_ns
        await pilot.press("p")
        await until(pilot, lambda: app.store.trunks.proof.at_ns > proven)
        bad = list(app.store.trunks.proof.rows)
        changed = [(cell["node"], cell["vlan"]) for cell in bad if cell not in good]
        assert changed == [("node2", 110)] and len(bad) == len(good)
        await see(app, pilot, "? unproven: nobody answered")
        await see(app, pilot, "nobody answered tagged on trunk0")
        await pilot.press("right")
        await see(app, pilot, "no agent runs there")
        await pilot.press("escape")
        await see(app, pilot, "VLAN 110 of Network dc1 is unproven")
        foot = [f["id"] for f in await printed(live, "doctor") if f["id"].startswith(("vlan-missing", "trunk-"))]
        assert foot == ["vlan-missing-on-trunk"]


async def test_attach_by_itself_then_detach(live: Any, wires: dict[str, Wire]) -> None:
    async with running(live) as (app, pilot, screen):
        await plan_attach(app, pilot, screen)
        await see(app, pilot, "planned, nothing is changed yet")
        text = text_of(app)
        assert "tc filter add dev eth1 ingress" in text and "tc filter delete dev eth1 ingress" in text
        assert "12 flows, 340 packets, 51.0kB" in text and "✓ proven: 10.110.0.1 answers" in text
        assert '[0] new    kubernetes.io/hostname == "node1": eth1, for node1' in text
        assert await trunks_of(live) == {"node1": "trunk0", "node2": "trunk0", "node3": "trunk0"}
        await pilot.press("A")
        await see(app, pilot, "kept by every node")
        assert await trunks_of(live) == {"node1": "eth1", "node2": "trunk0", "node3": "trunk0"}
        await pilot.press("escape")
        await on(pilot, TrunksScreen)
        await until(pilot, lambda: ("node1", "eth1", "dc1") in used(app), 40)
        screen.show_key(("node1", "eth1"))
        wires["node1"].vms = ["vms/web-1"]
        await pilot.press("x")
        await on(pilot, OrderForm)
        await pilot.press("ctrl+s")
        await see(app, pilot, "1 VMs hang on it")
        await pilot.press("A")
        assert (await trunks_of(live))["node1"] == "eth1"
        await pilot.press("escape")
        wires["node1"].vms = []
        await on(pilot, TrunksScreen)
        await pilot.press("x")
        await on(pilot, OrderForm)
        await pilot.press("ctrl+s")
        await see(app, pilot, "planned, nothing is changed yet")
        await pilot.press("A")
        await see(app, pilot, "kept by every node")
        assert (await trunks_of(live))["node1"] == ""
        records = [record.content for record in app.session.journal().records()]  # type: ignore[union-attr]
        assert [(r["what"], r["target"]["name"]) for r in records] == [("apply", "dc1"), ("apply", "dc1")]


def used(app: BasculeApp) -> set[tuple[str, str, str]]:
    return {(row["node"], row["name"], row["network"]) for row in app.store.trunks.candidates.rows}


@pytest.mark.parametrize("word", ["K", "R"])
async def test_a_manual_change_waits_for_one_key(live: Any, wires: dict[str, Wire], word: str) -> None:
    async with running(live) as (app, pilot, screen):
        await plan_attach(app, pilot, screen, "down", "tab", *"500")
        await see(app, pilot, "planned, nothing is changed yet")
        await pilot.press("K", "R")  # not there yet
        await pilot.press("A")
        await see(app, pilot, "waits for your word")
        await see(app, pilot, "unless it is kept")
        assert wires["node1"].change is not None and wires["node1"].change.state == c.WAITING
        await pilot.press(word)
        if word == "K":
            await see(app, pilot, "kept by every node")
            assert (await trunks_of(live))["node1"] == "eth1"
        else:
            await see(app, pilot, "the Network is as it was, on every node")
            assert "took it back" in text_of(app)
            assert (await trunks_of(live))["node1"] == "trunk0"


async def test_a_node_that_takes_it_back_takes_it_back_for_all(live: Any, wires: dict[str, Wire]) -> None:
    wires["node1"].ends = c.ROLLED_BACK
    async with running(live) as (app, pilot, screen):
        screen.show_key(("node2", "eth1"))
        await permitted(app, pilot, screen)
        await pilot.press("space")
        await plan_attach(app, pilot, screen)
        await see(app, pilot, "planned, nothing is changed yet")
        assert "Attach node1, node2 to dc1" in text_of(app)
        await pilot.press("A")
        await see(app, pilot, "the Network is as it was, on every node")
        assert "VLAN 110 does not answer any more" in text_of(app) and "✓ confirmed" in text_of(app)
        assert set((await trunks_of(live)).values()) == {"trunk0"}


async def test_the_management_path_wants_the_nodes_name(live: Any, wires: dict[str, Wire]) -> None:
    async with running(live) as (app, pilot, screen):
        await permitted(app, pilot, screen)
        screen.show_key(("node2", "mgmt0"))
        await pilot.press("a")
        await on(pilot, OrderForm)
        await pilot.press("ctrl+s")
        await on(pilot, TypeNode)
        assert "default route leaves through it" in text_of(app)
        await pilot.press(*"node1", "enter")
        await see(app, pilot, "'node1' is not 'node2'")
        await pilot.press("escape")
        await see(app, pilot, "refused, nothing was changed")
        await pilot.press("A", "escape")
        await on(pilot, TrunksScreen)
        await pilot.press("a")
        await on(pilot, OrderForm)
        await pilot.press("ctrl+s")
        await on(pilot, TypeNode)
        await pilot.press(*"node2", "enter")
        await see(app, pilot, "planned, nothing is changed yet")
        assert "management-path: node2" in text_of(app)
        assert set((await trunks_of(live)).values()) == {"trunk0"}


@pytest.mark.long
async def test_a_node_has_one_trunk_and_a_trunk_one_network(live: Any, wires: dict[str, Wire]) -> None:
    await live.put(network("other", selector='kubernetes.io/hostname == "nobody"', link="eth9"))
    async with running(live) as (app, pilot, screen):
        await permitted(app, pilot, screen)
        for link, why in (("eth1", "a node has one trunk"), ("trunk0", "a trunk belongs to one Network")):
            screen.show_key(("node1", link))
            await pilot.press("a")
            await on(pilot, OrderForm)
            await pilot.press("down", "ctrl+s")
            await see(app, pilot, "node node1 has trunk trunk0 of Network dc1 already")
            assert why in text_of(app)
            await pilot.press("A", "escape")
            await on(pilot, TrunksScreen)
        screen.show_key(("node1", "eth1"))
        await pilot.press("space")
        screen.show_key(("node1", "trunk0"))
        await pilot.press("space")
        assert screen.marks == {"node1": "trunk0"}


@pytest.mark.parametrize("options", [{"context": "lab-viewer"}, {"read_only": True}])
async def test_who_may_not_change_has_no_key_for_it(live: Any, wires: dict[str, Wire], options: Any) -> None:
    async with running(live, **options) as (app, pilot, screen):
        await until(pilot, lambda: app.store.rights.granted)
        await pilot.pause(0.3)
        screen.show_key(("node1", "eth1"))
        await pilot.press("a", "x")
        await pilot.pause(0.3)
        assert app.screen is screen and "a Attach" not in text_of(app) and "x Detach" not in text_of(app)
        if "context" in options:
            await pilot.press("m")
            await see(app, pilot, "refused this user")


@pytest.mark.long
async def test_a_protected_context_wants_the_networks_name(live: Any, wires: dict[str, Wire]) -> None:
    async with running(live, protected=True) as (app, pilot, screen):
        await plan_attach(app, pilot, screen)
        await see(app, pilot, "planned, nothing is changed yet")
        await pilot.press("A")
        await on(pilot, Confirm)
        await pilot.press(*"dc2", "enter")
        await pilot.pause(0.2)
        assert set((await trunks_of(live)).values()) == {"trunk0"}
        await pilot.press("backspace", "1", "enter")
        await see(app, pilot, "kept by every node")
        assert (await trunks_of(live))["node1"] == "eth1"


async def test_when_the_api_is_gone_the_links_stay_and_say_how_old_they_are(live: Any, wires: dict[str, Wire]) -> None:
    async with running(live) as (app, pilot, screen):
        await until(pilot, lambda: not [work for work in app.workers if work.group == "looks" and not work.is_finished])
        await live._server.stop()
        screen._due = True
        await until(pilot, lambda: app.store.trunks.candidates.problem)
        await see(app, pilot, "links as they were")
        assert len(screen.table.view) == 7
        await pilot.press("p")
        await see(app, pilot, "not proven:")
