"""Is the cluster able to carry the estate: subnets, gateways, pools, NADs, and the modes Calico's L2 needs?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

from bascule.migration.checks.registry import ERROR, ESTATE, UNKNOWN, Result, check, no_cluster
from bascule.migration.target import usable
from bascule.migration.world import World
from bascule.resources.read import dig, text


def _segments(world: World) -> list[tuple[str, int]]:
    """(Network, VLAN) of those that are used and carried."""
    return sorted({(seat.network.name, seat.vlan) for seat in world.seats if seat.network and seat.vlan})


@check("gateway-known", "port groups", "gateway of the VLAN is known", "every VLAN has a gateway")
def _gateway(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        vid = world.vlan_of(group)
        network = next(iter(world.target.carrying.get(vid or 0, [])), None)
        if vid and not any(gateway for _, gateway in world.subnets_of(vid, network, group)):
            told = f"no route of VLAN {vid} names a gateway: it is not reserved and may be given to a VM"
            fix = f"add the route, or answer: subnets: {{{vid}: {{cidr: …, gateway: …}}}}"
            yield Result(group.name, UNKNOWN, told, fix)


@check("gateway-in-subnet", "port groups", "gateway is inside its subnet", "every gateway is in its subnet")
def _inside(world: World) -> Iterator[Result]:
    told: set[str] = set()
    for seat in world.seats:
        for subnet, gateway in seat.subnets:
            if not gateway or seat.group is None or seat.group.name in told:
                continue
            try:
                inside = IPv4Address(gateway) in subnet
            except ValueError:
                inside = False
            if not inside:
                told.add(seat.group.name)
                what = f"gateway {gateway} is outside {subnet}: the next hop has to be a neighbour on the VLAN"
                yield Result(seat.group.name, ERROR, what, "correct the subnet or the gateway")


@check("subnet-shape", "Networks", "subnets are of a usable size", "no subnet is 0.0.0.0/0, /32 or IPv6")
def _shape(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which subnets its Networks have")
        return
    for network in world.target.networks:
        for entry in network.vlans:
            for subnet in entry.subnets:
                net = subnet.network
                if net is None or net.prefixlen in (0, 32):
                    told = f"subnet {subnet.cidr or '(none)'} is accepted by the API and works for nothing"
                    yield Result(network.name, ERROR, told, "write the VLAN's real subnet (CORE-13455)")


@check("subnet-room", "port groups", "subnet has room", "every subnet has room for its VMs")
def _room(world: World) -> Iterator[Result]:
    count = Counter(seat.vlan for seat in world.seats if seat.vlan)
    told: set[int] = set()
    for seat in world.seats:
        if seat.vlan and seat.subnets and seat.vlan not in told:
            told.add(seat.vlan)
            room = sum(usable(subnet) for subnet, _ in seat.subnets)
            if count[seat.vlan] > room:
                name = seat.group.name if seat.group else str(seat.vlan)
                what = f"{count[seat.vlan]} NICs in {room} addresses of VLAN {seat.vlan}"
                yield Result(name, ERROR, what, "check the subnet's prefix length")


@check("pool-there", "port groups", "VLAN has an L2 pool", "every VLAN has a pool")
def _pool(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which pools there are")
        return
    for network, vid in _segments(world):
        if not world.target.pools_for(vid):
            told = f"no pool with allowedUses L2Workload lies in a subnet of VLAN {vid}"
            yield Result(f"{network} VLAN {vid}", ERROR, told, "bascule plan build makes it")


@check("pool-kind", "pools", "pool is of the right kind", "every L2 pool is as Calico wants it")
def _kind(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which pools there are")
        return
    nets = [subnet for seat in world.seats for subnet, _ in seat.subnets]
    used = set(nets)
    for pool in world.target.pools:
        if pool.network is None or not any(pool.network.overlaps(net) for net in used):
            continue
        wrong = [
            *(["allowedUses is not [L2Workload]"] if pool.allowed_uses != ("L2Workload",) else []),
            *(["disableBGPExport is not true"] if not pool.disable_bgp_export else []),
            *(["IPIP is on"] if pool.ipip_mode != "Never" else []),
            *(["VXLAN is on"] if pool.vxlan_mode != "Never" else []),
            *(["it is disabled"] if pool.disabled else []),
        ]
        if wrong:
            fix = "make a pool of its own for the VLAN; cidr and use of an existing one stay"
            yield Result(pool.name, ERROR, f"{pool.cidr}: {', '.join(wrong)}", fix)


@check("nad-there", "port groups", "VLAN has a NAD in the namespace", "every VLAN has a NAD")
def _nad(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which NADs there are")
        return
    for network, vid in _segments(world):
        if world.target.nad_for(world.namespace, network, vid) is None:
            told = f"no NAD in {world.namespace} names Network {network} and VLAN {vid}"
            yield Result(f"{network} VLAN {vid}", ERROR, told, "bascule plan build makes it")


@check("nad-config", "cluster", "NADs are as Calico wants them", "every NAD of a Network in use is right")
def _nad_config(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which NADs there are")
        return
    names = {network for network, _ in _segments(world)}
    for nad in world.target.nads:
        if nad.problem:
            yield Result(nad.name, ERROR, f"spec.config: {nad.problem}", "bascule networks lint")
        elif nad.network in names:
            vlans = {vid for net in world.target.networks if net.name == nad.network for vid in net.carried_vlans()}
            if nad.vlan is None or nad.vlan not in vlans:
                yield Result(nad.name, ERROR, f"VLAN {nad.vlan} is not in Network {nad.network}", "write its vlan")
            elif nad.type != "calico" or nad.cni_version > "1.0.0":
                told = f"type {nad.type or '(none)'}, cniVersion {nad.cni_version or '(none)'}"
                yield Result(nad.name, ERROR, told, "type calico, cniVersion at most 1.0.0")


@check("multi-interface-mode", "cluster", "multiInterfaceMode is Multus", "multiInterfaceMode is Multus",
       "is multiInterfaceMode something else than Multus?")  # fmt: skip
def _mode(world: World) -> Iterator[Result]:
    if world.target.installation is None:
        yield Result(ESTATE, UNKNOWN, "the Installation was not given", "give it with --cluster, or answer it")
        return
    mode = text(dig(world.target.installation, "spec", "calicoNetwork", "multiInterfaceMode")) or "None"
    if mode != "Multus":
        told = f"multiInterfaceMode is {mode}: all L2 traffic dies, and everything looks healthy (CORE-13458)"
        yield Result("Installation", ERROR, told, "set it to Multus, then make the workloads anew")


@check("dataplane", "cluster", "the data plane is eBPF", "the data plane is eBPF", "is the data plane not eBPF?")
def _dataplane(world: World) -> Iterator[Result]:
    if world.target.installation is None and world.target.felix is None:
        yield Result(ESTATE, UNKNOWN, "Installation and FelixConfiguration were not given", "give them, or answer it")
        return
    plane = text(dig(world.target.installation, "spec", "calicoNetwork", "linuxDataplane"))
    if plane != "BPF" and dig(world.target.felix, "spec", "bpfEnabled") is not True:
        told = f"linuxDataplane is {plane or 'Iptables'}: L2 Networks stay dark (CORE-13460)"
        yield Result("Installation", ERROR, told, "linuxDataplane: BPF")
