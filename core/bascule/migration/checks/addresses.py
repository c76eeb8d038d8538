"""Can each VM keep its address: is it known, one, inside its subnet and pool, nobody else's, silent elsewhere?"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from bascule.estate.model import OFF
from bascule.migration.checks.registry import ERROR, ESTATE, UNKNOWN, WARNING, Result, check, no_cluster
from bascule.migration.world import Seat, World


def _each(world: World) -> Iterator[tuple[Seat, IPv4Address]]:
    for seat in world.seats:
        for ip in seat.ips:
            yield seat, ip


@check("ip-known", "NICs", "NIC's IPv4 address is known", "every NIC has an address",
       "is it an address that does not matter (DHCP, or none)? no: it does not")  # fmt: skip
def _known(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if not seat.ips and not seat.nic.ips6:
            why = "it is powered off" if seat.vm.power == OFF else "its tools do not run"
            told = f"{seat.nic.place or seat.vm.place} has no address"
            why = why if seat.vm.power == OFF or seat.vm.tools == "not running" else "the source does not tell it"
            fix = "power it on with tools once, or give it in a CSV: vm,mac,ip"
            yield Result(seat.name, UNKNOWN, f"{told}: {why}", fix, seat.vm.key)


@check("ip-on-nic", "VMs", "every address is on a NIC", "no address is without its NIC")
def _on_nic(world: World) -> Iterator[Result]:
    for vm in world.vms:
        four = [ip for ip in vm.addresses if ":" not in ip]
        if four:
            fix = "say which NIC has it in a CSV: vm,mac,ip"
            yield Result(vm.name, WARNING, f"{', '.join(four)} is on no NIC of {len(vm.nics)}", fix, vm.key)


@check("ip-valid", "NICs", "address can be a VM's", "every address is an ordinary unicast address")
def _valid(world: World) -> Iterator[Result]:
    for seat, ip in _each(world):
        kinds = ("multicast", "loopback", "link_local", "unspecified", "reserved")
        kind = next((each.replace("_", "-") for each in kinds if getattr(ip, f"is_{each}")), "")
        if kind:
            yield Result(
                seat.name, ERROR, f"{ip} is a {kind} address", "find the address it is meant to have", seat.vm.key
            )


@check("ip-one", "NICs", "NIC has one IPv4 address", "no NIC has a second IPv4 address")
def _second(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if len(seat.ips) > 1:
            told = f"{len(seat.ips)} addresses: {', '.join(seat.nic.ips[:4])}; Calico pins one, the others are dropped"
            yield Result(seat.name, ERROR, told, "give each address a NIC of its own", seat.vm.key)


@check(
    "ipv6", "NICs", "NIC does not need IPv6", "no NIC has a global IPv6 address", "does anybody use its IPv6 address?"
)
def _ipv6(world: World) -> Iterator[Result]:
    for seat in world.seats:
        real = [ip for ip in seat.nic.ips6 if not ip.lower().startswith("fe80")]
        if real and seat.ips:
            told = f"{real[0]}: IPv6 is dropped on L2 interfaces"
            yield Result(seat.name, WARNING, told, "make sure that nobody uses it", seat.vm.key)


@check("ipv6-only", "NICs", "NIC is not IPv6 only", "no NIC is IPv6 only")
def _ipv6_only(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if not seat.ips and any(not ip.lower().startswith("fe80") for ip in seat.nic.ips6):
            yield Result(
                seat.name, ERROR, f"only {seat.nic.ips6[0]}: IPv6 is dropped", "it cannot move yet", seat.vm.key
            )


@check("ip-in-subnet", "NICs", "address is inside a subnet of its VLAN", "every address is in a subnet of its VLAN")
def _in_subnet(world: World) -> Iterator[Result]:
    for seat, ip in _each(world):
        if seat.subnets and not any(ip in subnet for subnet, _ in seat.subnets):
            nets = ", ".join(str(subnet) for subnet, _ in seat.subnets)
            told = f"{ip} is outside {nets} of VLAN {seat.vlan}"
            yield Result(seat.name, ERROR, told, "add its subnet to the Network, or check the VLAN", seat.vm.key)
        elif not seat.subnets and seat.vlan:
            told = f"no subnet is known of VLAN {seat.vlan}"
            fix = f"answer it: subnets: {{{seat.vlan}: {{cidr: …, gateway: …}}}}"
            yield Result(seat.name, UNKNOWN, told, fix, seat.vm.key)


@check("ip-in-pool", "NICs", "address is inside an L2 pool", "every address is in an L2 pool")
def _in_pool(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which pools there are")
        return
    pools = {vid: world.target.pools_for(vid) for vid in {seat.vlan for seat in world.seats if seat.network} if vid}
    for seat, ip in _each(world):
        if seat.network and seat.vlan and not any(pool.network and ip in pool.network for pool in pools[seat.vlan]):
            names = ", ".join(pool.name for pool in pools[seat.vlan]) or "no pool"
            told = f"{ip} is in {names if not pools[seat.vlan] else 'none of ' + names} of VLAN {seat.vlan}"
            yield Result(seat.name, ERROR, told, "make the pool as large as the subnet (plan build)", seat.vm.key)


def _edge(world: World, which: str) -> Iterator[tuple[Seat, IPv4Address]]:
    for seat, ip in _each(world):
        for subnet, _ in seat.subnets:
            if ip in subnet and subnet.prefixlen < 31 and ip == getattr(subnet, which):
                yield seat, ip


@check("ip-network-address", "NICs", "address is not the subnet's first", "no VM has a network address")
def _network(world: World) -> Iterator[Result]:
    for seat, ip in _edge(world, "network_address"):
        fix = "check the prefix length; Calico never gives out the first address"
        yield Result(seat.name, ERROR, f"{ip} is the network address of its subnet", fix, seat.vm.key)


@check("ip-broadcast-address", "NICs", "address is not the subnet's last", "no VM has a broadcast address")
def _broadcast(world: World) -> Iterator[Result]:
    for seat, ip in _edge(world, "broadcast_address"):
        fix = "check the prefix length; Calico never gives out the last address"
        yield Result(seat.name, ERROR, f"{ip} is the broadcast address of its subnet", fix, seat.vm.key)


@check("ip-gateway-address", "NICs", "address is not the gateway's", "no VM has a gateway's address")
def _gateway(world: World) -> Iterator[Result]:
    for seat, ip in _each(world):
        if any(str(ip) == gateway for _, gateway in seat.subnets):
            told = f"{ip} is the gateway of VLAN {seat.vlan}: Calico reserves it"
            yield Result(
                seat.name, ERROR, told, "a VM that routes stays where it is, or the gateway moves", seat.vm.key
            )


@check("ip-reserved", "NICs", "address is not reserved", "no address is in an IPReservation")
def _reserved(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which addresses it reserves")
        return
    for seat, ip in _each(world):
        name = next((name for net, name in world.target.reserved if ip in net), "")
        if name:
            told = f"{ip} is in IPReservation {name}"
            yield Result(seat.name, WARNING, told, "take it out of the reservation before the VM moves", seat.vm.key)


@check("ip-unique-estate", "NICs", "address is used once in the estate", "no address is used twice")
def _unique(world: World) -> Iterator[Result]:
    for seat, ip in _each(world):
        same = world.by_ip[str(ip)]
        others = [
            each for each in same if each is not seat and (each.vlan == seat.vlan or not each.vlan or not seat.vlan)
        ]
        if others:
            told = f"{ip} is also {others[0].name}'s" + (f" and {len(others) - 1} more's" if len(others) > 1 else "")
            yield Result(seat.name, ERROR, told, "only one of them can have it: stop or change the other", seat.vm.key)


@check("ip-unique-cluster", "NICs", "no VM of the cluster has the address", "no address is claimed in the cluster")
def _unique_cluster(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which addresses its VMs have")
        return
    for seat, ip in _each(world):
        holder = world.target.ip_claims.get(str(ip), "")
        if holder and holder.rpartition("/")[2] != seat.vm.name:
            yield Result(seat.name, ERROR, f"{ip} is claimed by {holder}", f"bascule addresses show {ip}", seat.vm.key)


@check("ip-of-hypervisor", "NICs", "no hypervisor has the address", "no VM has a hypervisor's address")
def _hypervisor(world: World) -> Iterator[Result]:
    own = {address.ip: host.name for host in world.estate.hosts for address in host.addresses if address.ip}
    for seat, ip in _each(world):
        if str(ip) in own:
            told = f"{ip} is also the address of {own[str(ip)]}"
            yield Result(seat.name, ERROR, told, "one of them has to change", seat.vm.key)


@check("ip-answers", "NICs", "nobody else answers for the address now", "every address that answers is its VM's own")
def _answers(world: World) -> Iterator[Result]:
    if world.seen is None:
        fix = "ask the VLANs: bascule addresses check -o json > seen.json, then --seen seen.json"
        yield Result(ESTATE, UNKNOWN, "no address was asked on its VLAN", fix)
        return
    for seat, ip in _each(world):
        for seen in world.seen_at.get((seat.vlan or 0, str(ip)), ()):
            if seen.mac and seat.nic.mac and seen.mac != seat.nic.mac:
                told = f"{ip} is answered on VLAN {seat.vlan} by {seen.mac}, the VM's is {seat.nic.mac}"
                yield Result(seat.name, ERROR, told, "find that machine before the VM moves", seat.vm.key)
            elif seat.vm.power == OFF:
                told = f"{ip} answers on VLAN {seat.vlan} while the VM is off"
                yield Result(seat.name, ERROR, told, "somebody else has it: find that machine", seat.vm.key)
