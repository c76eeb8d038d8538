"""The screens on the lab's API with keys only: make and change a Network, undo it; and screens equal their verbs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static, TextArea

from bascule_console.app import BasculeApp
from bascule_console.screens.networks.detail import NetworkDetail
from bascule_console.screens.networks.editor import MarkedText, YamlEditor
from bascule_console.screens.networks.form import NetworkFormScreen
from bascule_console.screens.overview.screen import OverviewScreen
from bascule_console.screens.review.screen import Review
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_kube.kinds import IPPOOL, NETWORK, NODE, POD

MODES = {"networks": "networks", "nads": "nads", "pools": "pools", "journal": "journal"}


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@asynccontextmanager
async def console(live: Any, context: str = "lab-admin", **more: Any) -> AsyncIterator[tuple[BasculeApp, Pilot[None]]]:
    """The app on the cluster, once everything was listed."""
    store = Store()
    app = BasculeApp(store, Session(store, live.kubeconfig, context), **more)
    async with app.run_test(size=(110, 36)) as pilot:
        await until(pilot, lambda: store.findings is not None)
        yield app, pilot


async def until(pilot: Pilot[None], probe: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait for `probe` to be true."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := probe()):
                await pilot.pause(0.05)
    except TimeoutError:
        shown = [str(each.render()) for each in pilot.app.screen.query(Static)]
        pytest.fail(f"it did not come; {pilot.app.screen} says {shown}")
    return found


async def goto(pilot: Pilot[None], mode: str) -> None:
    await pilot.press("colon", *mode, "enter")
    await until(pilot, lambda: getattr(pilot.app.screen, "MODE", "") == mode)


def words(app: BasculeApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


async def vlans(live: Any, name: str) -> list[int]:
    found = await live.cluster.get(NETWORK, name)
    return [entry["vlan"]["id"] for entry in found["spec"]["l2Bridge"]["vlans"]]


async def make(pilot: Pilot[None], live: Any) -> None:
    """A Network through the form."""
    app = pilot.app
    await goto(pilot, "networks")
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, NetworkFormScreen))
    await pilot.press(*"dc9", "tab", *"trunk9", "tab", *"30", "tab", "tab", "tab")
    await pilot.press(*"30 10.30.0.0/24 via 10.30.0.1")
    await pilot.press("ctrl+s")
    review = await until(pilot, lambda: isinstance(app.screen, Review) and app.screen)
    await until(pilot, lambda: "nextHop: 10.30.0.1" in str(review.query_one("#diff", Static).render()))
    assert await live.cluster.list(NETWORK) == [], "a look changed something"
    await pilot.press("a")
    await until(pilot, lambda: app.screen.MODE == "networks" if hasattr(app.screen, "MODE") else False)


async def test_make_change_and_undo(live: Any) -> None:
    await live.start(nodes=1)
    async with console(live) as (app, pilot):
        await make(pilot, live)
        assert await vlans(live, "dc9") == [30]
        await until(pilot, lambda: app.store.inventory.get("networks", "dc9"))
        await pilot.pause(0.3)

        await pilot.press("E")
        editor = await until(pilot, lambda: isinstance(app.screen, YamlEditor) and app.screen.query_one(MarkedText))
        editor.text = editor.text.replace("id: 30", "id: 4095")
        await until(pilot, lambda: editor.marks)
        marked = {editor.text.splitlines()[line].strip() for line in editor.marks}
        assert marked == {"id: 4095", "nativeVLAN: 30"}
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, YamlEditor), "a lint error went to the server"
        editor.text = editor.text.replace("id: 4095", "id: 31").replace("nativeVLAN: 30", "nativeVLAN: 31")
        await until(pilot, lambda: not editor.marks)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Review) and "a apply" in words(app, "#keys"))
        await pilot.press("a")
        await until(pilot, lambda: getattr(app.screen, "MODE", "") == "networks")
        assert await vlans(live, "dc9") == [31]

        await goto(pilot, "journal")
        await until(pilot, lambda: len(app.store.journal.records) == 2)
        await pilot.pause(0.3)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Review) and "a apply" in words(app, "#keys"))
        assert "id: 30" in words(app, "#diff")
        await pilot.press("a")
        await until(pilot, lambda: getattr(app.screen, "MODE", "") == "journal")
        assert await vlans(live, "dc9") == [30]
        await until(pilot, lambda: len(app.store.journal.records) == 3)
        assert app.store.journal.rows()[2].undone_by == 3


async def test_a_field_that_only_the_server_refuses_comes_back_to_the_form(live: Any) -> None:
    await live.start(nodes=1)
    async with console(live) as (app, pilot):
        await goto(pilot, "networks")
        await pilot.press("n")
        form = await until(pilot, lambda: isinstance(app.screen, NetworkFormScreen) and app.screen)
        form.query_one("#name", Input).value = "Not_A_Name"
        form.query_one("#trunk", Input).value = "trunk9"
        form.query_one("#vlans", TextArea).text = "30 10.30.0.0/24"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Review) and "mend it" in words(app, "#keys"))
        await pilot.press("a")
        await pilot.pause(0.2)
        assert isinstance(app.screen, Review), "what is not ready was applied"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, NetworkFormScreen))
        assert app.screen.query_one("#name-wrong", Static).has_class("-shown")
    assert await live.cluster.list(NETWORK) == []


async def test_a_protected_context_wants_the_name(live: Any) -> None:
    await live.start(nodes=1)
    await live.cluster.create(NETWORK.of("dc8") | {"spec": spec(40)})
    async with console(live, protected=True) as (app, pilot):
        await goto(pilot, "networks")
        await pilot.pause(0.3)
        await pilot.press("ctrl+d")
        await until(pilot, lambda: isinstance(app.screen, Review) and "a apply" in words(app, "#keys"))
        await pilot.press("a", *"dc7", "enter")
        await pilot.pause(0.3)
        assert len(await live.cluster.list(NETWORK)) == 1, "the wrong name was taken"
        await pilot.press("backspace", "8", "enter")
        await until(pilot, lambda: getattr(app.screen, "MODE", "") == "networks")
    assert await live.cluster.list(NETWORK) == []


async def test_a_viewer_has_no_danger_action(live: Any) -> None:
    await live.start(nodes=1)
    await live.cluster.create(NETWORK.of("dc8") | {"spec": spec(40)})
    before = await live.cluster.list(NETWORK)
    async with console(live, "lab-viewer") as (app, pilot):
        for mode in ("networks", "journal"):
            await goto(pilot, mode)
            await pilot.pause(0.3)
            bound = {active.binding.action for active in app.screen.active_bindings.values()}
            assert not bound & {"new_network", "edit_network", "edit_network_yaml", "delete_network", "undo_record"}
            await pilot.press("n", "e", "E", "ctrl+d", "u")
            await pilot.pause(0.2)
            assert getattr(app.screen, "MODE", "") == mode
    assert await live.cluster.list(NETWORK) == before


def spec(vlan: int) -> dict[str, Any]:
    host = {
        "nodeSelector": "",
        "bridge": {"managedBridge": {"stp": "Disabled"}},
        "hostConnections": [{"trunkPort": {"interface": {"name": f"trunk{vlan}"}}}],
    }
    subnets = [{"cidr": f"10.{vlan}.0.0/24"}]
    return {"l2Bridge": {"hostConfig": [host], "vlans": [{"vlan": {"id": vlan}, "subnets": subnets}]}}


async def test_every_screen_shows_what_its_verb_says(live: Any) -> None:
    await live.start(nodes=3, silent=("node3",))
    await live.cluster.create(NETWORK.of("dc1") | {"spec": spec(110)})
    pool = {"cidr": "10.110.0.0/24", "allowedUses": ["L2Workload"], "disableBGPExport": True, "blockSize": 26}
    await live.cluster.create(IPPOOL.of("dc1-vlan-110") | {"spec": pool})
    kind = "BasculeNetwork-" + hashlib.sha256(b"dc1").hexdigest()[:8]
    said = {"type": kind, "status": "True", "reason": "Ready", "message": "dc1: per VLAN on trunk0"}
    node = await live.cluster.get(NODE, "node1")
    conditions = [*node["status"]["conditions"], said]
    await live.cluster.merge_patch(NODE, "node1", {"status": {"conditions": conditions}}, subresource="status")
    for name, where in (("web-1", "node1"), ("web-2", "node2")):
        await live.run(name, where)
    await live.cluster.create(bare_pod("tool"))
    async with console(live) as (app, pilot):
        await make_change(live)
        await until(pilot, lambda: app.store.inventory.all("pods"))
        await until(pilot, lambda: app.store.journal.records and app.store.inventory.get("networks", "dc5"))
        for mode in MODES:
            await goto(pilot, mode)
            await pilot.pause(0.3)
            table = app.screen.query_one(f"#{MODES[mode]}")
            rows = table.view.source.rows().values()
            shown = [getattr(row, "row", row) for row in rows]
            code, out, err = await live.bascule(mode, "list", "-o", "json")
            assert code == 0, err
            told = json.loads(out)
            if mode == "journal":
                assert [(r.seq, r.what, r.name, r.undo, r.hash) for r in reversed(shown)] == [
                    (r["seq"], r["what"], r["name"], r["undo"], r["hash"]) for r in told
                ]
            else:
                assert [row.document() for row in shown] == told
            assert mode != "nads" or any("Pod vms/tool" in nad["used_by"] for nad in told)
        await goto(pilot, "overview")
        screen = app.screen
        assert isinstance(screen, OverviewScreen)
        await pilot.pause(2.5)  # lint looks every two seconds
        code, out, err = await live.bascule("overview", "-o", "json")
        told = json.loads(out)
        assert code == 5 and "node3" in out, err
        shown_overview = screen.view.now().document()
        for key in ("networks", "vms", "moves", "agents", "findings"):
            assert json.loads(json.dumps(shown_overview[key])) == told[key], key
        await goto(pilot, "networks")
        await pilot.pause(0.2)
        await pilot.press("home", "enter")
        detail = await until(pilot, lambda: isinstance(app.screen, NetworkDetail) and app.screen)
        code, out, _ = await live.bascule("networks", "show", "dc1", "-o", "json")
        cells = [cell for row in detail.matrix.view.source.rows().values() for cell in row.cells]
        assert [(c.node, c.vlan, c.state, c.nics) for c in cells] == [
            (c["node"], c["vlan"], c["state"], c["nics"]) for c in json.loads(out)["matrix"]
        ]


def bare_pod(name: str) -> dict[str, Any]:
    """A Pod on a NAD that is no VM's launcher."""
    meta = {"name": name, "namespace": "vms", "annotations": {"k8s.v1.cni.cncf.io/networks": "vlan-110"}}
    return POD.of(name) | {"metadata": meta, "spec": {"containers": [{"name": "c", "image": "none"}]}}


async def make_change(live: Any) -> None:
    """One journalled change by the command line."""
    file = live.kubeconfig.parent / "dc5.json"
    file.write_text(json.dumps(NETWORK.of("dc5") | {"spec": spec(50)}))
    code, _, err = await live.bascule("apply", "-f", str(file))
    assert code == 0, err
