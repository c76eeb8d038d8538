"""Moves that do not go as planned: each ends in a stated condition, and the VM is on exactly one node and answers.

Witnesses: the VMIM and the VMI as the API gives them, the QEMU processes, a ping from the gateway.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from tests_lab import PREFIX, STATE, Lab, until

from bascule_kube import Cluster, Kind
from bascule_kube.errors import NotFound, Unreachable
from bascule_kube.kinds import NODE, POD, VM, VMI, VMIM
from bascule_lab.config import node_migration

pytestmark = [pytest.mark.root, pytest.mark.qemu]
T = TypeVar("T")
NAME, ADDRESS = "web-1", "10.110.0.11"
DONE = ("Succeeded", "Failed")


def ask(call: Callable[[Cluster], Awaitable[T]]) -> T:
    """One call as admin."""

    async def act() -> T:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            return await call(cluster)

    return asyncio.run(act())


def read(kind: Kind, name: str, namespace: str | None = "vms") -> Any:
    """An object, None without it."""
    try:
        return ask(lambda cluster: cluster.get(kind, name, namespace))
    except NotFound:
        return None


def start_move(target: str, vm: str = NAME) -> str:
    """Create a migration, as KubeVirt's own client would: none of the console's checks comes first."""
    name = f"{vm}-{secrets.token_hex(3)}"
    spec = {"vmiName": vm, "addedNodeSelector": {"kubernetes.io/hostname": target}}
    ask(lambda cluster: cluster.create(VMIM.of(name, "vms") | {"spec": spec}))
    return name


def is_at(name: str, phase: str, mode: str = "") -> Any:
    """Wait for a phase of a migration, and for its mode."""

    def there() -> Any:
        status = (read(VMIM, name) or {}).get("status") or {}
        reached = status.get("phase") == phase and mode in ("", status["migrationState"].get("mode"))
        why = (status.get("migrationState") or {}).get("failureReason")
        assert reached or status.get("phase") not in DONE, f"{status.get('phase')}: {why}"
        return status if reached else None

    return until(f"{name} is {phase} {mode}", there, 60)


def failed(name: str, seconds: float = 60.0) -> str:
    """Wait until a migration has failed; returns its reason."""

    def there() -> Any:
        status = read(VMIM, name).get("status") or {}
        assert status.get("phase") != "Succeeded"
        return status if status.get("phase") == "Failed" else None

    status = until(f"{name} has failed", there, seconds)
    state = status["migrationState"]
    assert state["failed"] and state["completed"] and state["endTimestamp"]
    return str(state["failureReason"])


def processes(vm: str = NAME) -> list[str]:
    """The nodes on which a QEMU of the VM runs."""
    return [g["node"] for g in guests() if g["name"] == vm and g["state"] == "running"]


def guests() -> list[dict[str, Any]]:
    """The guests of the status file: reading it costs nothing, asking for it a process."""
    found: list[dict[str, Any]] = json.loads((STATE / "lab.json").read_text())["guests"]
    return found


def on_one_node(node: str) -> None:
    """The VM runs there and nowhere else, says so, and its address answers."""
    until(f"one QEMU, on {node}", lambda: processes() == [node], 60)
    until(f"the VMI is Running on {node}", lambda: where() == ("Running", node), 60)
    until("it answers", answers, 60)


def where() -> tuple[str, str]:
    """The VMI's phase and node."""
    status = (read(VMI, NAME) or {}).get("status") or {}
    return status.get("phase", ""), status.get("nodeName", "")


def answers(netns: str = f"{PREFIX}-gw", address: str = ADDRESS) -> bool:
    """One ping, of the VM from the gateway."""
    ping = ["ip", "netns", "exec", netns, "ping", "-c1", "-W1", address]
    return subprocess.run(ping, capture_output=True).returncode == 0


def restarted(old: str) -> str:
    """The VM has a new VMI that runs and answers; returns its node."""

    def again() -> Any:
        vmi = read(VMI, NAME)
        here = vmi and vmi["metadata"]["uid"] != old and (vmi.get("status") or {}).get("phase") == "Running"
        return vmi["status"]["nodeName"] if here else None

    node: str = until("the VM was started again", again, 90)
    on_one_node(node)
    return node


@pytest.fixture
def places(lab: Lab) -> Iterator[tuple[str, str, str]]:
    """The VM's node and the other two; afterwards no move is under way, whatever happened."""
    (home,) = until("one QEMU", lambda: len(found := processes()) == 1 and found, 60)
    first, second = sorted({"node1", "node2", "node3"} - {home})
    yield home, first, second
    lab.lab("fault", "release-move", NAME)
    until("no move is under way", lambda: not under_way(), 90)


def under_way() -> list[str]:
    """Migrations that have not ended."""
    moves = ask(lambda cluster: cluster.list(VMIM))
    return [m["metadata"]["name"] for m in moves if (m.get("status") or {}).get("phase") not in DONE]


@pytest.fixture
def always(lab: Lab) -> Iterator[str]:
    """The VM is one that is started again; its VMI's uid."""
    strategy({"runStrategy": "Always"})
    yield read(VMI, NAME)["metadata"]["uid"]
    strategy({"runStrategy": "Once"})


def strategy(spec: dict[str, str]) -> None:
    """Change the VM's spec."""
    ask(lambda cluster: cluster.merge_patch(VM, NAME, {"spec": spec}, "vms"))


@pytest.mark.parametrize(
    ("at", "phase"),
    [
        ("precopy", "Running"),
        pytest.param("ready", "TargetReady", marks=pytest.mark.long),
        pytest.param("scheduling", "Scheduling", marks=pytest.mark.long),
    ],
)
def test_abort_before_the_switch(lab: Lab, places: tuple[str, str, str], at: str, phase: str) -> None:
    home, away, _ = places
    lab.lab("fault", "hold-move", NAME, "--at", at)
    name = start_move(away)
    is_at(name, phase, "PreCopy")
    assert read(VMIM, name)["metadata"]["finalizers"] == ["kubevirt.io/migrationJobFinalize"]
    if at != "scheduling":
        until("a real target waits", lambda: sorted(processes()) == sorted([home, away]))
    assert answers(), "and the guest still runs at the source"
    uid = read(VMIM, name)["metadata"]["uid"]
    done = lab.cli("moves", "abort", NAME, "-o", "json").json
    assert done[0]["node"] == home
    assert read(VMIM, name) is None
    if at == "precopy":
        state = read(VMI, NAME)["status"]["migrationState"]
        assert (state["migrationUid"], state["abortRequested"], state["abortStatus"]) == (uid, True, "Succeeded")
        assert state["failed"] and state["completed"]
    on_one_node(home)
    until("the target pod is gone", lambda: len(pods()) == 1)
    assert not lab.lab("fault", "release-move", NAME).json["was_held"], "an order is for one move"


def pods() -> list[dict[str, Any]]:
    """The VM's launcher pods."""
    return ask(lambda cluster: cluster.list(POD, "vms", label_selector=f"vm.kubevirt.io/name={NAME}"))


def test_after_the_switch_nobody_can_abort(lab: Lab, places: tuple[str, str, str]) -> None:
    home, away, _ = places
    lab.lab("fault", "hold-move", NAME, "--at", "postcopy")
    name = start_move(away)
    is_at(name, "Running", "PostCopy")
    refused = lab.cli("moves", "abort", NAME, check=4)
    assert "post-copy" in refused.err
    ask(lambda cluster: cluster.delete(VMIM, name, "vms"))
    assert read(VMIM, name)["metadata"]["deletionTimestamp"], "the finalizer holds it while the job runs"
    lab.lab("fault", "release-move", NAME)
    until("the migration is let go", lambda: read(VMIM, name) is None, 60)
    assert read(VMI, NAME)["status"]["migrationState"]["abortStatus"] == "Failed"
    on_one_node(away)


def test_moves_that_cannot_be(lab: Lab, places: tuple[str, str, str]) -> None:
    home, away, other = places
    lab.lab("fault", "hold-move", NAME, "--at", "ready")
    first = start_move(away)
    is_at(first, "TargetReady")
    assert "in-flight migration detected" in failed(start_move(other))
    lab.lab("fault", "release-move", NAME)
    is_at(first, "Succeeded")
    on_one_node(away)
    same, unknown = start_move(away), start_move("node9", "db-1")
    assert f"{away}: it is the source" in failed(same)
    assert "lacks kubernetes.io/hostname=node9" in failed(unknown)
    on_one_node(away)
    lab.lab("fault", "unmigratable", NAME, "on")
    assert "HostDeviceNotLiveMigratable" in failed(start_move(home))
    assert "not live-migratable" in lab.cli("vms", "move", NAME, "--to", home, check=4).err
    lab.lab("fault", "unmigratable", NAME, "off")
    until("their target pods are gone", lambda: len(pods()) == 1)


@pytest.mark.long  # once in five runs, on a full machine, the VMI was not Running afterwards: not understood yet
def test_the_target_runs_out_of_memory(lab: Lab, places: tuple[str, str, str], always: str) -> None:
    home, away, _ = places
    lab.lab("fault", "out-of-memory", NAME)
    assert "target QEMU died" in failed(start_move(away))
    on_one_node(home)
    lab.lab("fault", "out-of-memory", NAME, "--at", "postcopy")
    reason = failed(start_move(away))
    assert "the guest was lost" in reason
    restarted(always)


def test_the_api_goes_away_and_the_move_goes_on(lab: Lab, places: tuple[str, str, str]) -> None:
    _, away, _ = places
    lab.lab("fault", "hold-move", NAME, "--at", "postcopy", "--for", "3")
    name = start_move(away)
    is_at(name, "Running", "PostCopy")
    lab.lab("fault", "api", "--away", "3")
    until("the API is away", lambda: not served())
    until("and back", served, 60)
    is_at(name, "Succeeded")
    on_one_node(away)


def served() -> bool:
    """Whether the API answers."""
    try:
        return read(VMI, NAME) is not None
    except Unreachable:
        return False


@pytest.mark.long
@pytest.mark.parametrize("at", ["ready", "precopy", "postcopy"])
def test_the_migration_link_is_cut(lab: Lab, places: tuple[str, str, str], always: str, at: str) -> None:
    home, away, _ = places
    lab.lab("fault", "hold-move", NAME, "--at", at)
    name = start_move(away)
    is_at(name, *{"ready": ("TargetReady",), "precopy": ("Running", "PreCopy")}.get(at, ("Running", "PostCopy")))
    lab.lab("fault", "link", away, "cut", "--link", "migration")
    try:
        if at != "precopy":
            lab.lab("fault", "release-move", NAME)
        reason = failed(name)
    finally:
        lab.lab("fault", "link", away, "restore", "--link", "migration")
        until("the migration link carries again", lambda: answers(f"{PREFIX}-{home}", node_migration(away)))
    if at == "postcopy":
        assert "stuck" in reason
        restarted(always)
    else:
        on_one_node(home)


@pytest.mark.long
@pytest.mark.parametrize("at", ["precopy", "postcopy"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_node_is_lost(lab: Lab, places: tuple[str, str, str], always: str, at: str, side: str) -> None:
    home, away, _ = places
    lost = home if side == "source" else away
    lab.lab("fault", "hold-move", NAME, "--at", at)
    name = start_move(away)
    is_at(name, "Running", {"precopy": "PreCopy", "postcopy": "PostCopy"}[at])
    others = [g["name"] for g in guests() if g["node"] == lost and g["name"] != NAME]
    lab.lab("fault", "node", lost, "lose")
    try:
        failed(name)
        until("the node is Unknown", lambda: ready(lost) == "Unknown")
        until("what ran there has failed", lambda: all(phase(vm) == "Failed" for vm in others))
        if (side, at) == ("target", "precopy"):
            on_one_node(home)
        else:
            assert restarted(always) != lost
    finally:
        lab.lab("fault", "node", lost, "restore")
        until("the node is back", lambda: ready(lost) == "True")
        until("with its agent", lambda: lab.cli("nodes", "list", check=None).code == 0, 60)
        for vm in others:
            ask(lambda cluster, vm=vm: cluster.delete(VMI, vm, "vms"))  # type: ignore[misc]
        until("every VM runs again", lambda: all(phase(vm) == "Running" for vm in others), 120)


def ready(node: str) -> str:
    """The status of a Node's condition Ready."""
    conditions = read(NODE, node, None)["status"]["conditions"]
    return next(str(c["status"]) for c in conditions if c["type"] == "Ready")


def phase(vm: str) -> str:
    """A VMI's phase."""
    return str(((read(VMI, vm) or {}).get("status") or {}).get("phase"))


@pytest.mark.long
def test_the_sources_agent_is_killed(lab: Lab, places: tuple[str, str, str]) -> None:
    home, away, _ = places
    lab.lab("fault", "hold-move", NAME, "--at", "precopy")
    name = start_move(away)
    is_at(name, "Running", "PreCopy")
    lab.lab("fault", "kill-agent", home, "--down", "2")
    time.sleep(1)
    lab.lab("fault", "release-move", NAME)
    is_at(name, "Succeeded")
    on_one_node(away)
