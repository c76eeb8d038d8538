"""Neighbours of a VM that moves: one that stays on the old side and one on the cluster, in the same VLAN."""

from __future__ import annotations

from bascule.migration.run import HELD, WAITING, RunRow
from bascule_console.services.lists import load
from bascule_console.services.run.moving import Moving
from bascule_console.services.run.watch import NEW, OLD, Whom
from bascule_console.store.vms import vm_rows


async def neighbours(vm: Moving, rows: list[RunRow]) -> list[Whom]:
    """For each VLAN of the VM at most one on either side. Raises UnreachableError."""
    states = {row.target: row.state for row in rows}
    running = [row for row in vm_rows(await load(vm.ends.cluster)) if row.phase == "Running" and row.key != vm.place]
    found: list[Whom] = []
    for nic in vm.nics:
        here = (nic.network, nic.vlan)
        for other in vm.loaded.vms:
            if other["key"] == vm.planned.key or states.get(other["target"]) not in (WAITING, HELD):
                continue
            same = [each for each in other["nics"] if (each["network"], each["vlan"]) == here and each["ip"]]
            if same:
                found.append(Whom(OLD, other["name"], same[0]["ip"], same[0]["mac"], *here))
                break
        there = next((row for row in running if row.vlan == nic.vlan and row.ip), None)
        if there is not None:
            found.append(Whom(NEW, there.name, there.ip, there.mac, *here))
    return found
