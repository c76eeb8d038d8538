"""Does one rule match one packet? Every criterion that is set must hold, negative ones too."""

from __future__ import annotations

from bascule.policy.flow import Flow
from bascule.policy.peers import Address, Peers
from bascule.resources.policy_read import Net, Ports
from bascule.resources.policy_rule import Entity, Icmp, Rule


def matches(rule: Rule, flow: Flow, peers: Peers) -> bool | None:
    """None when it depends on an ICMP type that is not known."""
    if rule.ip_version not in (None, flow.version):
        return False
    if rule.protocol not in (None, flow.protocol) or rule.not_protocol == flow.protocol:
        return False
    ends = (
        (rule.source, flow.source, flow.source_port),
        (rule.destination, flow.destination, flow.destination_port),
    )
    for side, address, port in ends:
        if not _side(side, (flow.version, address), flow.protocol, port, peers):
            return False
    return _icmp(rule, flow)


def _side(side: Entity, address: Address, protocol: int, port: int, peers: Peers) -> bool:
    if side.nets and not _within(side.nets, address):
        return False
    if _within(side.not_nets, address):
        return False
    if side.selector is not None and not peers.match(side.selector, address):
        return False
    if side.not_selector is not None and peers.match(side.not_selector, address):
        return False
    if side.ports is not None and not _port(side.ports, address, protocol, port, peers):
        return False
    return side.not_ports is None or not _port(side.not_ports, address, protocol, port, peers)


def _within(nets: tuple[Net, ...], address: Address) -> bool:
    version, value = address
    return any(net.version == version and net.first <= value <= net.last for net in nets)


def _port(ports: Ports, address: Address, protocol: int, port: int, peers: Peers) -> bool:
    if any(low <= port <= high for low, high in ports.ranges):
        return True
    return any(peers.has_port(name, protocol, address, port) for name in ports.names)


def _icmp(rule: Rule, flow: Flow) -> bool | None:
    if rule.icmp is None and rule.not_icmp is None:
        return True
    if rule.icmp is not None and rule.not_icmp is not None and _covers(rule.not_icmp, rule.icmp):
        return False
    if flow.icmp is None:
        return None
    wanted = rule.icmp is None or _is(rule.icmp, flow.icmp)
    return wanted and (rule.not_icmp is None or not _is(rule.not_icmp, flow.icmp))


def _is(criterion: Icmp, icmp: tuple[int, int]) -> bool:
    return criterion.type == icmp[0] and criterion.code in (None, icmp[1])


def _covers(one: Icmp, two: Icmp) -> bool:
    return one.type == two.type and one.code in (None, two.code)
