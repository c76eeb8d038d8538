"""What VMs say on the wire that a Calico L2 port drops: multicast, VRRP, broadcast, DHCP; from recorded flows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from bascule.migration.checks.registry import ERROR, ESTATE, UNKNOWN, WARNING, Result, check
from bascule.migration.talk import Talk
from bascule.migration.world import World

VRRP_MAC, CARP_VRRP, UDP = "00:00:5e:00:01:", 112, 17
NO_FLOWS = "no flows were recorded"
FIX_FLOWS = "bascule assess --flows FILE (a recording, or a CSV of the old switch's flows), or answer it"


def _found(world: World, says: Callable[[Talk], str], verdict: str, fix: str) -> Iterator[Result]:
    if world.talks is None:
        yield Result(ESTATE, UNKNOWN, NO_FLOWS, FIX_FLOWS)
        return
    told: dict[str, list[str]] = defaultdict(list)
    for talk in world.talks:
        what = says(talk)
        if what:
            for key in {*filter(None, (world.owners.get(talk.src),)), *_by_mac(world, talk)}:
                told[key].append(what)
    names = {vm.key: vm.name for vm in world.vms}
    for key, found in told.items():
        several = sorted(set(found))
        more = f" and {len(several) - 1} more" if len(several) > 1 else ""
        yield Result(names[key], verdict, several[0] + more, fix, key)


def _by_mac(world: World, talk: Talk) -> list[str]:
    return [seat.vm.key for seat in world.by_mac.get(talk.src_mac, ())] if talk.src_mac else []


def _first(address: str) -> int:
    return int(address.partition(".")[0])


@check("multicast", "VMs", "VM needs no multicast", "no VM sends multicast", "does it need multicast?")
def _multicast(world: World) -> Iterator[Result]:
    def says(talk: Talk) -> str:
        known = 224 <= _first(talk.dst) <= 239 and talk.dst != "224.0.0.18"
        return f"sends to {talk.dst}:{talk.port}" if known else ""

    yield from _found(world, says, WARNING, "multicast is dropped on L2 ports: find what it is for")


@check("vrrp", "VMs", "VM shares no address by VRRP or CARP", "no VM speaks VRRP", "does it share a virtual address?")
def _vrrp(world: World) -> Iterator[Result]:
    def says(talk: Talk) -> str:
        known = talk.proto == CARP_VRRP or talk.dst == "224.0.0.18" or talk.src_mac.startswith(VRRP_MAC)
        return f"VRRP from {talk.src}" + (f" as {talk.src_mac}" if talk.src_mac else "") if known else ""

    yield from _found(world, says, ERROR, "a shared MAC and address is dropped: use a load balancer outside")
    for seat in world.seats:
        if seat.nic.mac.startswith(VRRP_MAC):
            told = f"its NIC has the VRRP MAC {seat.nic.mac}"
            yield Result(seat.name, ERROR, told, "give the NIC a MAC of its own", seat.vm.key)


@check(
    "broadcast", "VMs", "VM needs no broadcast", "no VM sends broadcast but ARP", "does it need broadcast (NetBIOS)?"
)
def _broadcast(world: World) -> Iterator[Result]:
    edges = {
        str(subnet.broadcast_address) for seat in world.seats for subnet, _ in seat.subnets if subnet.prefixlen < 31
    }

    def says(talk: Talk) -> str:
        known = talk.dst == "255.255.255.255" or talk.dst in edges or talk.dst_mac == "ff:ff:ff:ff:ff:ff"
        return f"sends to {talk.dst}:{talk.port}" if known and talk.port not in (67, 68) else ""

    yield from _found(world, says, WARNING, "broadcast but ARP is dropped on L2 ports: find what it is for")


@check(
    "dhcp", "VMs", "VM is no DHCP server and needs none", "no VM speaks DHCP", "does it get or give addresses by DHCP?"
)
def _dhcp(world: World) -> Iterator[Result]:
    def says(talk: Talk) -> str:
        if talk.proto != UDP or talk.port != 67:
            return ""
        return "asks for its address by DHCP" if talk.src == "0.0.0.0" else f"speaks DHCP with {talk.dst}"

    fix = "KubeVirt answers DHCP in the pod with the pinned address; a server on the VLAN cannot serve"
    yield from _found(world, says, WARNING, fix)
