"""What nodes, VMs, addresses, flows and moves look like at 80×24 and 160×45."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests_rest import at_rest
from textual.pilot import Pilot

from bascule_console.app import BasculeApp
from bascule_console.store.addresses import Answer

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
SHOWN = {
    "nodes": (),
    "node": ("enter",),
    "vms": ("G",),
    "attach": ("a",),
    "addresses": ("g", *"jjjjjj"),
    "flows": ("enter",),
    "moves": ("j",),
    "moving": ("g",),
}
MODES = {"node": "nodes", "attach": "vms", "moving": "moves"}
Compare = Callable[..., bool]


def network() -> dict[str, Any]:
    vlans = [
        {
            "vlan": {"id": vid},
            "subnets": [
                {
                    "cidr": f"10.{vid}.0.0/24",
                    "routes": [{"destination": "0.0.0.0/0", "action": {"nextHop": f"10.{vid}.0.1"}}],
                }
            ],
        }
        for vid in (100, 110, 120)
    ]
    return {"metadata": {"name": "dc1"}, "spec": {"l2Bridge": {"vlans": vlans}}}


def report(scene: Any, number: int, carrier: bool, release: str) -> dict[str, Any]:
    name = f"node{number}"
    ports = []
    for vm, on in scene.placed.items():
        nic = scene.store.inventory.get("virtualmachines", f"vms/{vm}")["spec"]["template"]["spec"]
        interface = nic["domain"]["devices"]["interfaces"][0]
        vlan = int(nic["networks"][0]["multus"]["networkName"].rpartition("-")[2])
        last = int(interface["macAddress"].rpartition(":")[2], 16)
        port = {"vm": vm, "namespace": "vms", "nic": "net-0", "network": "dc1", "vlan": vlan, "reason": ""}
        more = {"mac": interface["macAddress"], "ip": f"10.{vlan}.0.{10 + last}", "ifindex": scene.ifindex(vm)}
        ports += [{**port, **more, "state": "live", "pod": f"virt-launcher-{vm}-abcde"}] if on == name else []
    trunk = {"name": "trunk0", "carrier": carrier, "mtu": 1500, "vlans": [100, 110, 120], "native": 100}
    bridges = [
        {"name": f"bsb-abcdefghi{vid // 10 - 9}", "network": "dc1", "vlan": vid, "up": True, "ports": [f"veth{vid}"]}
        for vid in (100, 110, 120)
    ]
    agent = {"version": "0.1.0", "mode": "manage", "seen": "2026-11-23T12:00:00Z", "adopted": 0, "changes": 4}
    clock = {"offset_ns": 0, "error_ns": 0, "source": "one kernel clock"}
    facts = {"kernel": {"release": release}, "clock": clock, "ready": True, "conditions": []}
    return {"name": name, "agent": agent, "trunk": trunk, "bridges": bridges, "ports": ports, **facts}


@pytest.fixture
def still(stopped: Any) -> Any:
    """Twelve guests, one killed, one moving, two that claim one address; a node without agent, one without carrier."""
    scene = stopped
    store, inventory = scene.store, scene.store.inventory
    scene.cluster().talk()
    scene.run("db-2", "node2", "Failed")
    inventory.put("nodes", scene.node(3, agent=False))
    inventory.put("networks", network())
    for vid in (100, 110, 120):
        spec = {"cidr": f"10.{vid}.0.0/24", "allowedUses": ["L2Workload"]}
        inventory.put("ippools", {"metadata": {"name": f"dc1-vlan-{vid}"}, "spec": spec})
    documents = [report(scene, 1, True, "6.18.2"), report(scene, 2, False, "6.1.0-28-amd64")]
    store.reports.put(documents, {"node3": "its Node has no annotation bascule.dev/agent: no agent runs there"})
    twin = inventory.get("virtualmachines", "vms/web-1")
    inventory.put("virtualmachines", {**twin, "metadata": {"name": "copy-of-web-1", "namespace": "vms"}})
    store.keep_answer(("dc1", 110, "10.110.0.12"), Answer("gateway", 3, 3, 0.41, "2026-11-23T12:00:00Z"))
    store.keep_answer(("dc1", 120, "10.120.0.11"), Answer("gateway", 3, 0, None, "2026-11-23T12:00:00Z"))
    for uid, lost, vm in (("u1", 3, "web-1"), ("u2", 240, "db-1")):
        store.moves.keep(uid, scene.move_record(uid, lost=lost, vm=vm).to_json())
    meta = {"name": "legacy-1-bbbb", "namespace": "vms", "uid": "u9", "creationTimestamp": "2026-11-23T12:00:09Z"}
    spec = {"vmiName": "legacy-1", "addedNodeSelector": {"kubernetes.io/hostname": "node1"}}
    vmim = {"metadata": meta, "spec": spec, "status": {"phase": "Scheduling"}}
    inventory.put("virtualmachineinstancemigrations", vmim)
    return scene


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", SHOWN)
def test_screen(snap_compare: Compare, still: Any, size: str, what: str) -> None:
    app = BasculeApp(still.store, None)

    async def show(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        app.open(MODES.get(what, what))
        await at_rest(pilot)
        await pilot.press(*SHOWN[what])
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=SIZES[size], run_before=show)
