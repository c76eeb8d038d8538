"""Can each NIC keep its MAC, and keep it through later live migrations?"""

from __future__ import annotations

from collections.abc import Iterator

from bascule.migration.checks.registry import ERROR, ESTATE, UNKNOWN, WARNING, Result, check, no_cluster
from bascule.migration.world import World


@check("mac-known", "NICs", "NIC's MAC is known", "every NIC has a MAC")
def _known(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if not seat.nic.mac:
            fix = "export vNetwork, or give it in a CSV: vm,mac,ip"
            yield Result(seat.name, UNKNOWN, f"{seat.nic.place or seat.vm.place} has no MAC", fix, seat.vm.key)


@check("mac-valid", "NICs", "MAC can be a NIC's", "every MAC is a unicast address")
def _valid(world: World) -> Iterator[Result]:
    for seat in world.seats:
        mac = seat.nic.mac
        if mac and (int(mac[:2], 16) & 1 or not int(mac.replace(":", ""), 16)):
            told = f"{mac} is {'zero' if mac[:2] == '00' else 'a group address'}"
            yield Result(seat.name, ERROR, told, "correct it on the old side, or give the NIC another", seat.vm.key)


@check("mac-unique-estate", "NICs", "MAC is used once in the estate", "no MAC is used twice")
def _unique(world: World) -> Iterator[Result]:
    for mac, seats in world.by_mac.items():
        for seat in seats if len(seats) > 1 else ():
            other = next(each for each in seats if each is not seat)
            told = f"{mac} is also {other.name}'s (VLAN {other.vlan or 'unknown'})"
            verdict = ERROR if other.vlan == seat.vlan or not other.vlan or not seat.vlan else WARNING
            fix = "give one another MAC, or leave the copy behind: both would start, one unreachable (CORE-13457)"
            yield Result(seat.name, verdict, told, fix, seat.vm.key)


@check("mac-unique-cluster", "NICs", "no VM of the cluster has the MAC", "no MAC is claimed in the cluster")
def _cluster(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which MACs its VMs have")
        return
    for seat in world.seats:
        holder = world.target.mac_claims.get(seat.nic.mac, "") if seat.nic.mac else ""
        if holder and holder.rpartition("/")[2] != seat.vm.name:
            yield Result(seat.name, ERROR, f"{seat.nic.mac} is {holder}'s", "give one of them another MAC", seat.vm.key)


@check("mac-answers", "NICs", "MAC is seen with its own address only", "no MAC is seen with another's address")
def _answers(world: World) -> Iterator[Result]:
    if world.seen is None:
        fix = "bascule addresses check -o json > seen.json, then --seen seen.json"
        yield Result(ESTATE, UNKNOWN, "no address was asked on its VLAN", fix)
        return
    for seen in world.seen:
        for seat in world.by_mac.get(seen.mac, ()) if seen.mac else ():
            if seat.nic.ips and seen.ip not in seat.nic.ips:
                told = f"{seen.mac} answers for {seen.ip} on VLAN {seen.vlan}, the source says {seat.nic.ips[0]}"
                yield Result(seat.name, WARNING, told, "a second address or a cluster's: ask the owner", seat.vm.key)
            elif seat.vlan and seen.vlan != seat.vlan:
                told = f"{seen.mac} answers on VLAN {seen.vlan}, the source says {seat.vlan}"
                yield Result(seat.name, ERROR, told, "correct the port group's VLAN", seat.vm.key)


@check("mac-for-migration", "NICs", "macAddress can be set for later live migration", "the plan sets every macAddress")
def _migration(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if not seat.nic.mac:
            told = "without macAddress a VM loses its L2 at the first live migration (CORE-13418)"
            yield Result(seat.name, WARNING, told, "give it a MAC; hwAddr alone is not carried over", seat.vm.key)
