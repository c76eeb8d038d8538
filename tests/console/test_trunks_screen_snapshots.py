"""What candidates, form, plan, countdown, ending and matrix look like at 80×24 and 160×45. The plan and the change are
what a node of the lab answered (bascule trunks attach --dry-run -o json; nodes list -o json)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests_clock import StoppedClock
from textual.pilot import Pilot
from textual.screen import Screen

from bascule.resources.node import Node
from bascule.trunks import change as c
from bascule_console.app import BasculeApp
from bascule_console.screens import base
from bascule_console.screens.trunks import change, proof, screen
from bascule_console.screens.trunks.change import ChangeScreen
from bascule_console.screens.trunks.form import OrderForm
from bascule_console.screens.trunks.proof import ProofScreen
from bascule_console.screens.trunks.typed import TypeNode
from bascule_console.services import trunk_run as stage
from bascule_console.services.apply import Plan
from bascule_console.services.trunk_run import Run
from bascule_console.services.trunks import ManagementPathError, Order, Trial, edited
from bascule_console.store.nodes import AgentTarget
from bascule_console.store.trunks import Asked

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
Compare = Callable[..., bool]
SILENT = {"node3": "the agent of node3 does not answer: unavailable at unix:/run/x/node3.sock: connection refused"}
STEPS = [
    ("bridge vlan add dev trunk0 vid 100 pvid untagged", "bridge vlan delete dev trunk0 vid 100 pvid untagged"),
    (
        "ip link add bss-kkcb2agib5 mtu 1500 type veth peer bsx-kkcb2agib5 mtu 1500 alias bascule:s:dc1/120",
        "ip link delete bss-kkcb2agib5",
    ),
    (
        "tc egress of bss-kkcb2agib5: tag with vlan 120 and send to trunk0",
        "tc egress of bss-kkcb2agib5: stop sending vlan 120 to trunk0",
    ),
    ("ip link set bss-kkcb2agib5 master bsb-kkcb2agib5", "ip link set bss-kkcb2agib5 nomaster"),
    ("ip link set bsx-kkcb2agib5 up", "ip link set bsx-kkcb2agib5 down"),
    ("ip link set bss-kkcb2agib5 up", "ip link set bss-kkcb2agib5 down"),
    (
        "tc ingress of trunk0: hand vlan 120 to bss-kkcb2agib5",
        "tc ingress of trunk0: stop handing vlan 120 to bss-kkcb2agib5",
    ),
    ("tc filter add dev trunk0 ingress bpf trunk_in", "tc filter delete dev trunk0 ingress bpf trunk_in"),
]


def network() -> dict[str, Any]:
    trunk = {"trunkPort": {"interface": {"name": "trunk0"}, "nativeVLAN": 100}}
    everyone = {"nodeSelector": "", "bridge": {"managedBridge": {"stp": "Disabled"}}, "hostConnections": [trunk]}
    none = {"nodeSelector": 'kubernetes.io/hostname == "node2"', "bridge": {"managedBridge": {"stp": "Disabled"}}}
    vlans = [{"vlan": {"id": vid}} for vid in (100, 110, 120)]
    return {"metadata": {"name": "dc1"}, "spec": {"l2Bridge": {"hostConfig": [none, everyone], "vlans": vlans}}}


def link(node: str, name: str, at: int, **more: Any) -> dict[str, Any]:
    found = {"node": node, "name": name, "mac": f"02:5d:00:00:00:{at:02x}", "up": True, "carrier": True, "speed": 10000}
    rest = {"mtu": 1500, "default_route": False, "member_of": "", "vlans": [], "network": "", "problem": ""}
    return {**found, **rest, **more}


def links() -> tuple[dict[str, Any], ...]:
    route = {"default_route": True, "problem": "the node's default route leaves through mgmt0"}
    return (
        link("node1", "eth3", 3, speed=25000, mtu=9000, vlans=[100, *range(110, 114)]),
        link("node1", "eth4", 4, carrier=False, speed=0, problem="no carrier"),
        link("node1", "mgmt0", 1, speed=1000, **route),
        link("node1", "trunk0", 2, vlans=[110, 120], network="dc1", problem="it is the trunk of Network dc1"),
        link("node2", "trunk0", 5, vlans=[110, 120]),
        link("node2", "bond1p0", 7, member_of="bond1", problem="it is a port of bond1"),
        link("node2", "mgmt0", 6, speed=1000, **route),
    )


def cell(node: str, vlan: int, verdict: str, evidence: str) -> dict[str, Any]:
    return {"node": node, "network": "dc1", "vlan": vlan, "verdict": verdict, "evidence": evidence}


def good(node: str, vlan: int) -> dict[str, Any]:
    how = "untagged" if vlan == 100 else "tagged"
    return cell(node, vlan, "proven", f"10.{vlan}.0.1 (42:b2:d6:49:a1:8a) answers {how} on trunk0, to 1500 bytes too")


def cells() -> tuple[dict[str, Any], ...]:
    silent = "nobody answered tagged on trunk0: asked 10.110.0.1, 10.110.0.11; no frame of it seen"
    size = "10.120.0.1 answers tagged on trunk0, but not to a frame of 1500 bytes: an MTU on the way is smaller"
    return (
        *(good("node1", vlan) for vlan in (100, 110, 120)),
        good("node2", 100),
        cell("node2", 110, "unproven", silent),
        cell("node2", 120, "failed", size),
    )


def run(still: Any, at: str, state: str = "", why: str = "") -> Run:
    """A change of node2 at a stage of its way."""
    nodes = [Node.of(node) for node in still.store.inventory.all("nodes")]
    order = Order("dc1", {"node2": "trunk0"}, native=100, manual=True)
    before = network()
    after = edited(before, nodes, [node for node in nodes if node.name == "node2"], order)
    found = Run(order, still.store.topics)
    trial = found.trial = Trial(before, after, order.wish(), {"node2": AgentTarget("node2", "unix:/run/x/node2.sock")})
    traffic = {"flows": 35, "packets": 40_120, "bytes": 5_210_000}
    places = {"vlans": ["dc1/120"], "links": ["bsb-kkcb2agib5", "bss-kkcb2agib5", "bsx-kkcb2agib5", "trunk0"]}
    ready = {"network": "dc1", "ready": True, "reason": "Ready", "message": "dc1: trunk trunk0, VLANs 120"}
    trial.plans["node2"] = {
        "node": "node2",
        "steps": [{"do": do, "undo": undo} for do, undo in STEPS],
        "outcomes": [ready],
        "blast": {"vms": ["vms/db-1"], **places, "traffic": traffic},
        "proof": [good("node2", vlan) for vlan in (100, 110, 120)],
    }
    if state:
        began = still.noon_ns - 14_000_000_000
        checks = {"api": "", "gateway": "", "port vms/db-1": "" if state != c.ROLLED_BACK else "its program is gone"}
        steps = tuple(do for do, _ in STEPS)
        change_ = c.Change("5070e47a", ("dc1",), steps, began, began + 60_000_000_000, state, True, checks, why)
        trial.states["node2"] = change_.as_dict()
    found.stage, found.rehearsal = at, Plan()
    found.restored = state == c.ROLLED_BACK
    return found


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch, scene: Any) -> Any:
    """Three nodes: one in order, one without trunk, one whose agent is silent."""
    clock = StoppedClock(scene.noon_ns + 400_000_000)
    for module in (base, change, proof, screen):
        monkeypatch.setattr(module, "time", clock)
    store = scene.cluster().store
    store.inventory.put("networks", network())
    store.inventory.mark_synced("networks")
    store.trunks.keep_candidates(Asked(links(), SILENT, scene.noon_ns))
    store.trunks.keep_proof(Asked(cells(), SILENT, scene.noon_ns - 12_000_000_000))
    return scene


def over(still: Any, what: str) -> Screen[Any] | None:
    """What is pushed over the candidates."""
    inventory = still.store.inventory
    if what == "form":
        nodes = [Node.of(node) for node in inventory.all("nodes")]
        return OrderForm({"node2": "trunk0"}, inventory.all("networks"), nodes)
    if what == "matrix":
        return ProofScreen("node2")
    if what == "typed":
        cause = "the node's default route leaves through it: a mistake cuts the node off"
        return TypeNode(ManagementPathError("node1", "refused to use mgmt0 of node1 as a trunk", cause))
    stages: dict[str, tuple[str, ...]] = {
        "plan": (stage.PLANNED,),
        "countdown": (stage.WAITING, c.WAITING),
        "back": (stage.ENDED, c.ROLLED_BACK, "taken back: port vms/db-1: its program is gone"),
    }
    return ChangeScreen(run(still, *stages[what])) if what in stages else None


SHOWN = {
    "candidates": ("G", "k", "k", "space"),
    "form": ("down",),
    "plan": (),
    "countdown": (),
    "back": (),
    "matrix": ("down",),
    "typed": ("n",),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", SHOWN)
def test_trunks(snap_compare: Compare, still: Any, size: str, what: str) -> None:
    app = BasculeApp(still.store, None)

    async def show(pilot: Pilot[None]) -> None:
        app.open("trunks")
        await pilot.pause(0.3)
        pushed = over(still, what)
        if pushed is not None:
            app.push_screen(pushed)
            await pilot.pause(0.3)
        await pilot.press(*SHOWN[what])
        await pilot.pause(0.4)

    assert snap_compare(app, terminal_size=SIZES[size], run_before=show)


NASTY = "x\x1b[31mred[bold]m[/bold]\u202e\r\n"


async def test_text_from_outside_is_shown_as_it_is(still: Any) -> None:
    """Names and evidence with control bytes and markup, on every screen and in --ascii."""
    store = still.store
    rows = (link(NASTY, NASTY, 1, problem=NASTY, network=NASTY), link("node1", "trunk0", 2))
    store.trunks.keep_candidates(Asked(rows, {f"{NASTY}2": NASTY}, still.noon_ns))
    store.trunks.keep_proof(Asked((cell(NASTY, 100, "failed", NASTY),), {}, still.noon_ns))
    store.inventory.put("networks", {**network(), "metadata": {"name": NASTY}})
    broken = run(still, stage.ENDED, c.ROLLED_BACK, NASTY)
    app = BasculeApp(store, None, ascii_only=True)
    async with app.run_test(size=(160, 45)) as pilot:
        app.open("trunks")
        for pushed in (None, over(still, "form"), ProofScreen(NASTY), ChangeScreen(broken), over(still, "plan")):
            if pushed is not None:
                app.push_screen(pushed)
            await pilot.pause(0.3)
            text = "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())
            assert not set(text) - {"\n"} & {chr(code) for code in range(32)}
            assert "\u202e" not in text
            assert text.isascii(), sorted({char for char in text if not char.isascii()})
            if pushed is not None:
                await pilot.press("escape")
