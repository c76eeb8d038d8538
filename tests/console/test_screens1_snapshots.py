"""What the overview, Networks, NADs, IPPools and the journal look like, at 80×24 and 160×45."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_rest import at_rest
from textual.pilot import Pilot

from bascule.journal import GENESIS, Entry, Reference, Undo, encode
from bascule_console.app import BasculeApp
from bascule_console.services.lookout import findings, linted, read_journal
from bascule_console.store.documents import portable

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
EXAMPLE = Path(__file__).parents[2] / "examples" / "dc1.yaml"
KINDS = {"Network": "networks", "IPPool": "ippools", "NetworkAttachmentDefinition": "network-attachment-definitions"}
Compare = Callable[..., bool]
Obj = dict[str, Any]


def condition(network: str, status: str, reason: str, message: str) -> Obj:
    """What an agent writes on its Node about a Network."""
    kind = "BasculeNetwork-" + hashlib.sha256(network.encode()).hexdigest()[:8]
    return {"type": kind, "status": status, "reason": reason, "message": f"{network}: {message}"}


def network(name: str, vlan: int, cidr: str) -> Obj:
    """A small Network."""
    host = {
        "nodeSelector": "zone == 'b'",
        "bridge": {"managedBridge": {"stp": "Disabled"}},
        "hostConnections": [{"trunkPort": {"interface": {"name": "trunk1"}}}],
    }
    vlans = [{"vlan": {"id": vlan}, "subnets": [{"cidr": cidr}]}]
    metadata = {"name": name, "uid": "u-1", "resourceVersion": "7"}
    spec = {"l2Bridge": {"hostConfig": [host], "vlans": vlans}}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": metadata, "spec": spec}


@pytest.fixture
def still(stopped: Any, tmp_path: Path) -> Any:
    """The lab's documents, a second Network that one node refuses, a move in flight, a silent agent, three changes."""
    scene = stopped.cluster()
    inventory = scene.store.inventory
    for document in filter(None, yaml.safe_load_all(EXAMPLE.read_text())):
        if document["kind"] in KINDS:
            inventory.put(KINDS[document["kind"]], document)
    inventory.put("networks", network("backup", 4095, "10.9.0.0/24"))
    for plural in (*KINDS.values(), "virtualmachineinstancemigrations"):
        inventory.mark_synced(plural)
    for number in (1, 2, 3):
        node = scene.node(number)
        said = [condition("dc1", "True", "Ready", "per VLAN on trunk0, VLANs 100,110,120")]
        if number == 2:
            said += [condition("backup", "False", "TrunkMissing", "there is no link trunk1")]
        if number == 3:
            said += [condition("backup", "False", "NotSelected", "no hostConfig selects this node")]
        node["status"]["conditions"] += said
        inventory.put("nodes", node)
    vmim: Obj = {"metadata": {"name": "db-1-aaaa", "namespace": "vms"}, "spec": {"vmiName": "db-1"}}
    vmim["status"] = {"phase": "Running", "migrationState": {"sourceNode": "node2", "targetNode": "node1"}}
    inventory.put("virtualmachineinstancemigrations", vmim)
    for name in list(scene.placed):
        complete(scene, name)
    scene.talk()
    scene.store.agent_silent("node3", "the stream ended")
    scene.store.keep_findings(findings(*linted(inventory)))
    write_journal(tmp_path / "journal.jsonl")
    scene.store.keep_journal(read_journal(tmp_path / "journal.jsonl"))
    return scene


def complete(scene: Any, name: str) -> None:
    """What a real cluster's objects have besides: the kind, and the instance's networks."""
    inventory = scene.store.inventory
    vm, vmi = (dict(inventory.get(kind, f"vms/{name}")) for kind in ("virtualmachines", "virtualmachineinstances"))
    spec = vm["spec"]["template"]["spec"]
    inventory.put("virtualmachines", {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", **vm})
    inventory.put("virtualmachineinstances", {**vmi, "spec": spec})


def write_journal(path: Path) -> None:
    """Made, changed, and the change undone."""
    first, second = network("backup", 90, "10.9.0.0/24"), network("backup", 91, "10.9.0.0/24")
    who = {"user": "anna", "host": "desk", "context": "lab-admin", "server": "https://127.0.0.1:6443"}
    deeds = [
        ("apply", None, first, Undo("delete")),
        ("apply", first, second, Undo("apply", portable(first))),
        ("undo #2", second, first, Undo("apply", portable(second))),
    ]
    previous, lines = GENESIS, b""
    for seq, (what, before, after, undo) in enumerate(deeds, 1):
        entry = Entry(f"2026-11-23T12:0{seq}:00.000+00:00", who, what, Reference.of(after), before, after, undo)
        line = encode(entry, seq, previous)
        previous, lines = yaml.safe_load(line)["hash"], lines + line
    path.write_bytes(lines)


def going(*keys: str) -> Callable[[Pilot[None]], Any]:
    """Press keys, `:mode` typed as a whole, and let things settle after each, and at the end."""

    async def go(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        for key in keys:
            if key.startswith(":"):
                await pilot.press("colon", *key[1:], "enter")
                await at_rest(pilot)
            else:
                await pilot.press(key)
        await at_rest(pilot)

    return go


SCREENS = {
    "overview": (":overview",),
    "networks": (":networks",),
    "network": (":networks", "end", "enter"),
    "form": (":networks", "end", "e"),
    "nads": (":nads",),
    "pools": (":pools",),
    "journal": (":journal",),
    "record": (":journal", "down", "enter"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SCREENS)
def test_screen(snap_compare: Compare, still: Any, name: str, size: str) -> None:
    app = BasculeApp(still.store, None)
    assert snap_compare(app, terminal_size=SIZES[size], run_before=going(*SCREENS[name]))


def test_yaml_with_findings(snap_compare: Compare, still: Any) -> None:
    app = BasculeApp(still.store, None)
    assert snap_compare(app, terminal_size=(80, 50), run_before=going(":networks", "E"))


def test_form_with_complaints(snap_compare: Compare, still: Any) -> None:
    keys = (":networks", "n", *"dc2", "tab", *"trunk0", "tab", *"x", "tab", "tab", "tab", *"110", "enter", *"bad line")
    assert snap_compare(BasculeApp(still.store, None), terminal_size=(80, 24), run_before=going(*keys))


def test_nothing_there(snap_compare: Compare, stopped: Any) -> None:
    stopped.store.inventory.mark_synced("networks")
    stopped.store.keep_findings(())
    assert snap_compare(BasculeApp(stopped.store, None), terminal_size=(80, 24), run_before=going(":overview"))
