"""Is each NIC's VLAN known, carried by a Network, and proven on every trunk that could host the VM?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from bascule.estate.model import PRIVATE, TRUNK, UNKNOWN, UNTAGGED
from bascule.migration.checks.registry import ERROR, ESTATE, WARNING, Result, check, no_cluster
from bascule.migration.checks.registry import UNKNOWN as NOT_KNOWN
from bascule.migration.world import World
from bascule.trunks.proof import FAILED, PROVEN


@check("port-group-known", "NICs", "NIC's port group is in the estate", "every NIC was joined to a port group")
def _port_group(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if seat.group is None:
            said = f"'{seat.nic.network}' on switch '{seat.nic.switch}'" if seat.nic.network else "no network"
            fix = "export the sheets dvPort and vPort too, or connect the NIC"
            yield Result(
                seat.name, WARNING, f"{seat.nic.place}: {said} is no port group of the sources", fix, seat.vm.key
            )


@check("vlan-known", "port groups", "port group's VLAN is known", "every port group in use has a VLAN")
def _vlan_known(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        if group.vlan.kind == UNKNOWN and world.vlan_of(group) is None:
            fix = f"answer it: port_groups: {{{group.name}: VID}}"
            yield Result(group.name, NOT_KNOWN, f"{group.place or 'the sources'} does not tell its VLAN", fix)
        elif group.vlan.kind == UNTAGGED and world.vlan_of(group) is None:
            cause = "its frames are untagged, and no trunk has one native VLAN that they could be in"
            yield Result(group.name, NOT_KNOWN, cause, f"answer it: port_groups: {{{group.name}: VID}}")


@check("vlan-in-network", "port groups", "VLAN is carried by a Network", "a Network carries every VLAN in use")
def _in_network(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("whether a Network carries the VLANs")
        return
    for group in world.used_groups:
        vid = world.vlan_of(group)
        if vid and vid not in world.target.carrying:
            yield Result(group.name, ERROR, f"no Network has VLAN {vid}", "bascule plan build adds it to one")


@check("vlan-one-network", "port groups", "VLAN is in one Network only", "no VLAN is in two Networks")
def _one_network(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which Networks carry the VLANs")
        return
    for group in world.used_groups:
        networks = world.target.carrying.get(world.vlan_of(group) or 0, [])
        if len(networks) > 1:
            names = ", ".join(each.name for each in networks)
            yield Result(group.name, WARNING, f"VLAN {world.vlan_of(group)} is in {names}", "keep it in one of them")


@check("trunk-on-nodes", "Networks", "some node has a trunk for the Network", "every Network in use has a trunk")
def _trunks(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which nodes have a trunk")
        return
    for network in sorted({seat.network.name for seat in world.seats if seat.network}):
        nodes = world.target.trunks.get(network, {})
        if world.target.nodes and not any(interface for interface, _ in nodes.values()):
            fix = f"bascule trunks attach --network {network} --node NODE --interface LINK"
            yield Result(network, ERROR, f"of {len(world.target.nodes)} nodes none has a trunk of it", fix)


@check("vlan-proven", "port groups", "VLAN answers on every trunk that could host the VM", "all VLANs are proven")
def _proven(world: World) -> Iterator[Result]:
    if world.proofs is None:
        fix = "bascule trunks prove -o json > proofs.json, then --proofs proofs.json"
        yield Result(ESTATE, NOT_KNOWN, "no trunk proof was recorded", fix)
        return
    for group in world.used_groups:
        vid = world.vlan_of(group)
        for network in world.target.carrying.get(vid or 0, [])[:1]:
            cells = world.proven.get((network.name, vid or 0), {})
            for node in world.target.trunks.get(network.name, {}) or cells:
                cell = cells.get(node)
                if cell is None or cell.verdict != PROVEN:
                    verdict = ERROR if cell and cell.verdict == FAILED else NOT_KNOWN
                    said = f"{cell.verdict}: {cell.evidence}" if cell else "no proof"
                    fix = f"mend the switch port of {node}, then bascule trunks prove --vlan {vid}"
                    yield Result(f"{group.name} on {node}", verdict, f"VLAN {vid}: {said}", fix)


@check("native-mismatch", "port groups", "native VLAN is the same on both sides", "untagged VLANs agree", "")
def _native(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which VLANs are native on its trunks")
        return
    for group in world.used_groups:
        vid = world.vlan_of(group)
        native = vid in world.target.natives if vid else False
        if group.vlan.kind == UNTAGGED and vid and world.target.known and not native:
            fix = f"make {vid} the trunk's nativeVLAN, or tag it on the switch ports of the nodes"
            yield Result(group.name, WARNING, f"untagged on the old side; VLAN {vid} is tagged on the trunks", fix)
        elif group.vlan.kind not in (UNTAGGED, UNKNOWN) and native:
            where = world.target.natives[vid or 0]
            fix = "nothing if the switch port of the nodes has it untagged; bascule trunks prove tells"
            yield Result(
                group.name, WARNING, f"VLAN {vid} is tagged on the old side and native on {where}'s trunks", fix
            )
    for cell in world.proofs or ():
        if cell.verdict == FAILED and "native" in cell.evidence:
            fix = "give switch port and Network the same native VLAN"
            yield Result(f"VLAN {cell.vlan} on {cell.node}", ERROR, cell.evidence, fix)


@check("guest-trunk", "NICs", "NIC gets one VLAN, not a trunk", "no NIC gets a trunk (4095)")
def _guest_trunk(world: World) -> Iterator[Result]:
    for seat in world.seats:
        if seat.group and seat.group.vlan.kind == TRUNK:
            what = f"port group {seat.group.name} hands it {seat.group.vlan.text}: the guest tags by itself"
            yield Result(seat.name, ERROR, what, "give the VM one NIC a VLAN; tags of guests are dropped", seat.vm.key)


@check("private-vlan", "port groups", "no private VLAN", "no port group is a private VLAN")
def _private(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        if group.vlan.kind == PRIVATE:
            fix = "carry the isolation over as a policy, and give the port group the primary VLAN"
            yield Result(group.name, ERROR, f"{group.vlan.text}: Calico has no private VLANs", fix)


@check("vlan-override", "port groups", "VLAN is not overridden per port", "no port group lets ports have another VLAN")
def _override(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        if group.vlan_override:
            fix = "look at the ports with an override, and give those VMs a port group of their own"
            yield Result(group.name, WARNING, "VLAN override is allowed: a port may have another VLAN than this", fix)


@check("vlan-by-host", "port groups", "VLAN is the same on every host", "no port group changes its VLAN with the host")
def _by_host(world: World) -> Iterator[Result]:
    vlans: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for group in world.estate.port_groups:
        if group.hosts:
            vlans[group.server, group.switch, group.name].add(group.vlan.text)
    for group in world.used_groups:
        found = vlans.get((group.server, group.switch, group.name), set())
        if len(found) > 1:
            yield Result(group.name, ERROR, f"on its hosts it is VLAN {', '.join(sorted(found))}", "make them the same")


@check("management-vlan", "port groups", "no VM shares the VLAN of the nodes' own address", "no VLAN is the nodes' own")
def _management(world: World) -> Iterator[Result]:
    if not world.target.known:
        yield no_cluster("which addresses its nodes have")
        return
    addresses = {node.internal_ip: node.name for node in world.target.nodes if node.internal_ip}
    for group in world.used_groups:
        vid = world.vlan_of(group)
        network = next(iter(world.target.carrying.get(vid or 0, [])), None)
        for subnet, _ in world.subnets_of(vid, network, group):
            for ip, node in addresses.items():
                if _inside(ip, subnet):
                    fix = "keep the management VLAN out of every Network (CORE-13399)"
                    yield Result(group.name, ERROR, f"{node}'s own address {ip} is in {subnet}", fix)
                    break


def _inside(ip: str, subnet: object) -> bool:
    from ipaddress import IPv4Network, ip_address

    try:
        return isinstance(subnet, IPv4Network) and ip_address(ip) in subnet
    except ValueError:
        return False
