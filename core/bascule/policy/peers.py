"""Who is behind an address: the endpoints that have it and the network sets whose nets hold it.

Policy speaks about addresses in the end, as in Calico's data planes: a selector stands for the addresses of what it
matches. An address that nothing known has matches no selector, and every notSelector.
"""

from __future__ import annotations

from collections.abc import Iterable

from bascule.policy.endpoints import Endpoint
from bascule.policy.model import PolicySet
from bascule.resources.policy_read import Net, as_net
from bascule.selectors import Node

Address = tuple[int, int]
"""IP version and address."""


class Peers:
    """Fixed once made. `endpoints` by their key."""

    def __init__(self, policies: PolicySet, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = {endpoint.key: endpoint for endpoint in endpoints}
        self._by_address: dict[Address, list[Endpoint]] = {}
        self._labels: list[dict[str, str]] = []
        self._known: dict[Address, list[int]] = {}
        self._nets: list[tuple[Net, int]] = []
        self._matching: dict[Node, frozenset[int]] = {}
        for endpoint in self.endpoints.values():
            for address in addresses(endpoint):
                self._by_address.setdefault(address, []).append(endpoint)
                self._known.setdefault(address, []).append(len(self._labels))
            self._labels.append(policies.labels_of(endpoint))
        for network_set in policies.sets:
            self._nets += [(net, len(self._labels)) for net in network_set.nets]
            self._labels.append(policies.labels_of_set(network_set))

    def at(self, address: Address) -> list[Endpoint]:
        """The endpoints with an address, by key; two while a VM moves."""
        return sorted(self._by_address.get(address, ()), key=lambda endpoint: endpoint.key)

    def match(self, selector: Node, address: Address) -> bool:
        """Does anything at this address match the selector (on flat labels)?"""
        found = self._matching.get(selector)
        if found is None:
            found = frozenset(at for at, labels in enumerate(self._labels) if selector.matches(labels))
            self._matching[selector] = found
        return any(at in found for at in self._objects(address))

    def has_port(self, name: str, protocol: int, address: Address, port: int) -> bool:
        """Does an endpoint at this address call this port by that name?"""
        return any((name, protocol, port) in endpoint.ports for endpoint in self._by_address.get(address, ()))

    def _objects(self, address: Address) -> Iterable[int]:
        yield from self._known.get(address, ())
        version, value = address
        for net, at in self._nets:
            if net.version == version and net.first <= value <= net.last:
                yield at


def addresses(endpoint: Endpoint) -> list[Address]:
    """The endpoint's addresses as numbers; text that is no address is none."""
    nets = (as_net(ip) for ip in endpoint.ips)
    return [(net.version, net.first) for net in nets if net is not None and net.first == net.last]
