"""Cold moves while something breaks: the storage is full, the target's node is lost. The address is on one side only,
and there is a way on or back.

Witnesses that are not Bascule: ping from the gateway and the outside host, the gateway's neighbour table, virsh.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from tests_lab import STATE, Lab, until
from tests_old import Old, old_side, reached

from bascule_kube import Cluster
from bascule_kube.errors import NotFound
from bascule_kube.kinds import VMI

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.long]
T = TypeVar("T")
NAME = "ledger-1"


@pytest.fixture(scope="module")
def old(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    """Four VMs on three VLANs under libvirt."""
    with old_side(lab, tmp_path_factory.mktemp("faults"), "--vms", "4") as found:
        found.build("--wave-vms", "1")
        yield found


def ask(call: Callable[[Cluster], Awaitable[T]]) -> T | None:
    """One call as admin; None for what is not there."""

    async def act() -> T | None:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            try:
                return await call(cluster)
            except NotFound:
                return None

    return asyncio.run(act())


def vmi(name: str) -> Any:
    """A VMI, None without it."""
    return ask(lambda cluster: cluster.get(VMI, name, "vms"))


def status(name: str) -> Any:
    """Its status."""
    return (vmi(name) or {}).get("status") or {}


def give_back(lab: Lab, node: str) -> None:
    """The node and its agent, and what else ran there."""
    others = [g["name"] for g in lab.status()["guests"] if g["node"] == node and g["name"] != NAME]
    lab.lab("fault", "node", node, "restore")
    until("with its agent", lambda: lab.cli("nodes", "list", check=None).code == 0, 60)
    for name in others:
        ask(lambda cluster, name=name: cluster.delete(VMI, name, "vms"))  # type: ignore[misc]
    until("every VM runs again", lambda: all(status(name).get("phase") == "Running" for name in others), 120)


def test_a_full_disk_gives_the_address_back(lab: Lab, old: Old) -> None:
    assert lab.lab("fault", "disk-full", "on").json["disk_full"] is True
    try:
        done = old.plan("run", "--source", old.uri, "--vm", NAME, "-o", "json", check=None)
    finally:
        lab.lab("fault", "disk-full", "off")
    (row,) = done.json
    assert row["state"] == "rolled back" and "storage is full" in row["why"], row
    assert "Traceback" not in done.err and done.code != 0
    assert old.state(NAME) == "running" and vmi(NAME) is None
    reached(old.vms[NAME])
    assert old.run("--vm", NAME)[NAME]["state"] == "moved"
    assert old.state(NAME) == "shut off"
    reached(old.vms[NAME])
    old.plan("rollback", NAME, "--source", old.uri)
    reached(old.vms[NAME])


def test_a_node_lost_mid_way_costs_time_and_not_the_vm(lab: Lab, old: Old) -> None:
    """The cluster starts it again on another node; the run waits for the address and measures the whole outage."""
    before = len(old.deeds(NAME))
    process = old.begin("--vm", NAME)
    lost = ""
    try:
        until("its start", lambda: any(d["step"] == "start" for d in old.deeds(NAME)[before:]), 60)
        lost = until("its node", lambda: status(NAME).get("nodeName"), 60)
        lab.lab("fault", "node", lost, "lose")
        assert process.wait(240) == 0
        (row,) = [each for each in old.plan("status", "-o", "json").json if each["target"] == NAME]
        assert row["state"] == "moved" and row["outage_ms"] > 1000, row
        assert status(NAME)["nodeName"] != lost and old.state(NAME) == "shut off"
        reached(old.vms[NAME])
    finally:
        if process.poll() is None:
            process.kill()
        if lost:
            give_back(lab, lost)
    old.plan("rollback", NAME, "--source", old.uri)
    assert old.state(NAME) == "running" and vmi(NAME) is None
    reached(old.vms[NAME])
