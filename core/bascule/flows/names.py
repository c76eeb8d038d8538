"""Who a frame's two ends are: the port's own VM, and the peer by address across everything known.

Names are scoped: an address means something on its Network and VLAN only, because the same address may exist in two
VLANs. Across VLANs (through a router) an address names a VM only when it is the only one with it. What nothing knows
stays raw, the address as text or the MAC for frames without one, and says why it has no name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from bascule.flows.surroundings import AddressSet, Gateway, Surroundings, gateways_of
from bascule.hostplan.names import OURS

__all__ = ["Gateway", "Names", "PortId", "Who", "gateways_of"]

KINDS = ("vm", "gateway", "set", "outside", "address", "mac", "group")
CACHED = 65536


@dataclass(frozen=True)
class PortId:
    """Identity of one port of one node, as FlowBatch.Port carries it; `mac` lower-case, `ip` dotted or empty."""

    node: str
    ifindex: int
    vm: str = ""
    namespace: str = ""
    nic: str = ""
    network: str = ""
    vlan: int = 0
    mac: str = ""
    ip: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Who:
    """One end. `name` is what is shown; `kind` one of KINDS; `why` says why there is no name, "" when there is one."""

    name: str
    kind: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    why: str = ""

    @property
    def known(self) -> bool:
        """Whether something named it."""
        return not self.why


class Names:
    """Lookup of peers; immutable once made, so a viewer swaps one for the next."""

    def __init__(
        self,
        ports: Iterable[PortId] = (),
        gateways: Iterable[Gateway] = (),
        around: Surroundings | None = None,
        rules: Mapping[tuple[str, int], str] | None = None,
    ) -> None:
        around = around or Surroundings(tuple(gateways))
        self._rules = dict(rules or {})
        self.ports: dict[tuple[str, int], PortId] = {}
        self._scoped: dict[tuple[str, int, str], Who] = {}
        self._by_ip: dict[str, dict[str, Who]] = defaultdict(dict)
        self._sets = around.sets
        self._subnets = around.subnets
        self._found: dict[tuple[str, int, str, str], Who] = {}
        for gateway in around.gateways:
            who = Who(gateway.name, "gateway")
            self._scoped[gateway.network, gateway.vlan, gateway.ip] = who
            self._by_ip[gateway.ip][gateway.name] = who
        for port in ports:
            self.ports[port.node, port.ifindex] = port
            if port.vm:
                self._add(port)

    def _add(self, port: PortId) -> None:
        who = Who(port.vm, "vm", port.namespace, dict(port.labels))
        for key in (port.ip, port.mac):
            if key:
                self._scoped[port.network, port.vlan, key] = who
        if port.ip:
            self._by_ip[port.ip][port.vm] = who

    def port(self, node: str, ifindex: int) -> PortId:
        """The port a record points at; one without a VM when the node did not name it."""
        return self.ports.get((node, ifindex)) or PortId(node, ifindex)

    def rule(self, node: str, number: int) -> str:
        """The name of the rule that a node counts under this number; the number when it is not known, "" for none."""
        return self._rules.get((node, number), str(number)) if number else ""

    def peer(self, network: str, vlan: int, ip: str, mac: str) -> str:
        """The name of an end seen on (network, vlan), or its raw address; see `who`."""
        return self.who(network, vlan, ip, mac).name

    def who(self, network: str, vlan: int, ip: str, mac: str) -> Who:
        """The end seen on (network, vlan): VM, gateway, NetworkSet, outside host, or the raw address with the reason.

        `ip` is "" for frames without an IPv4 address. A MAC never names an end that has an address of its own: behind
        a router every address shares the router's MAC.
        """
        key = (network, vlan, ip, mac)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= CACHED:
                self._found.clear()
            found = self._found[key] = self._look(network, vlan, ip, mac)
        return found

    def _look(self, network: str, vlan: int, ip: str, mac: str) -> Who:
        if not ip:
            return self._scoped.get((network, vlan, mac)) or _by_mac(network, vlan, mac)
        scoped = self._scoped.get((network, vlan, ip))
        if scoped:
            return scoped
        everywhere = self._by_ip.get(ip, {})
        if len(everywhere) == 1:
            return next(iter(everywhere.values()))
        address = _address(ip)
        if address is None:
            return Who(ip, "address", why="not an IPv4 address")
        return self._unnamed(address, network, vlan, len(everywhere))

    def _unnamed(self, address: IPv4Address, network: str, vlan: int, claims: int) -> Who:
        ip = str(address)
        if address.is_multicast or ip == "255.255.255.255":
            return Who(ip, "group", why="a group address belongs to nobody")
        if claims > 1:
            return Who(ip, "address", why=f"{claims} ends on other VLANs have this address")
        best = _best(self._sets, address)
        if best is not None:
            return Who(best.name, "set", best.namespace, dict(best.labels))
        here = next((s for s in self._subnets if address in s.net and (s.network, s.vlan) == (network, vlan)), None)
        inside = here or next((s for s in self._subnets if address in s.net), None)
        if inside is not None:
            return Who(ip, "address", why=f"in {inside.net} of {inside.network}/{inside.vlan}, where no VM has it")
        if not self._subnets:
            return Who(ip, "address", why="no VM, gateway or NetworkSet known here has it")
        return Who(ip, "outside", why="an outside host: in no Network's subnet and in no NetworkSet")


def _by_mac(network: str, vlan: int, mac: str) -> Who:
    if int(mac[:2] or "0", 16) & 1:
        return Who(mac, "group", why="a group address belongs to nobody")
    if mac.lower().startswith(OURS):
        why = "our agents ask trunks from MACs like this; the answers are flooded to every port of the VLAN"
        return Who(mac, "mac", why=why)
    return Who(mac, "mac", why=f"no port on {network or 'this network'}/{vlan} has this MAC, and the frame no address")


def _best(sets: Iterable[AddressSet], address: IPv4Address) -> AddressSet | None:
    found: tuple[int, AddressSet] | None = None
    for each in sets:
        for net in each.nets:
            if address in net and (found is None or net.prefixlen > found[0]):
                found = (net.prefixlen, each)
    return found[1] if found else None


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None
