"""The cluster's side as documents say it: Networks, trunks by node, pools, NADs, VMs and what they claim."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from ipaddress import IPv4Network
from typing import Any

from bascule.resources.attachment import Attachment
from bascule.resources.ippool import IPPool
from bascule.resources.kubevirt import VirtualMachine
from bascule.resources.network import Network, ipv4_network
from bascule.resources.node import Node
from bascule.resources.read import dig, strings, text
from bascule.selectors import SelectorError

Doc = Mapping[str, Any]


class Target:
    """`known` is False when there are no documents at all: then no check may conclude anything from absence."""

    def __init__(self, documents: Iterable[Doc] = (), known: bool = True) -> None:
        by: dict[str, list[Doc]] = defaultdict(list)
        for document in documents:
            by[text(dig(document, "kind"))].append(document)
        self.known = known and bool(by)
        self.documents = {kind: sorted(found, key=_name) for kind, found in sorted(by.items())}
        self.networks = [each for each in map(Network.of, self.documents.get("Network", ())) if each.l2]
        self.pools = [IPPool.of(each) for each in self.documents.get("IPPool", ())]
        self.nads = [Attachment.of(each) for each in self.documents.get("NetworkAttachmentDefinition", ())]
        self.vms = [VirtualMachine.of(each) for each in self.documents.get("VirtualMachine", ())]
        self.nodes = [Node.of(each) for each in self.documents.get("Node", ())]
        self.installation = next(iter(self.documents.get("Installation", ())), None)
        self.felix = next(iter(self.documents.get("FelixConfiguration", ())), None)
        self.reserved = [
            (net, each["metadata"]["name"])
            for each in self.documents.get("IPReservation", ())
            for net in map(ipv4_network, strings(dig(each, "spec", "reservedCIDRs")))
            if net
        ]

    @cached_property
    def carrying(self) -> dict[int, list[Network]]:
        """VLAN → the Networks that carry it."""
        found: dict[int, list[Network]] = defaultdict(list)
        for network in self.networks:
            for vid in network.carried_vlans():
                found[vid].append(network)
        return dict(found)

    @cached_property
    def trunks(self) -> dict[str, dict[str, tuple[str, int | None]]]:
        """Network → node → its trunk's interface and native VLAN; a node that matches no hostConfig is absent."""
        found: dict[str, dict[str, tuple[str, int | None]]] = {}
        for network in self.networks:
            here = found.setdefault(network.name, {})
            for node in self.nodes:
                try:
                    config = network.config_for(node.meta.labels)
                except SelectorError:
                    continue
                if config is not None:
                    trunk = config.trunk
                    here[node.name] = (trunk.interface, trunk.native_vlan) if trunk else ("", None)
        return found

    @cached_property
    def natives(self) -> dict[int, str]:
        """Native VLAN → the Network whose trunks have it."""
        return {
            config.trunk.native_vlan: network.name
            for network in reversed(self.networks)
            for config in network.host_configs
            if config.trunk and config.trunk.native_vlan
        }

    @cached_property
    def ip_claims(self) -> dict[str, str]:
        """IPv4 address → the VM (`namespace/name`) that asks for it."""
        return dict(self._claims("ipAddrs"))

    @cached_property
    def mac_claims(self) -> dict[str, str]:
        """MAC → the VM (`namespace/name`) that asks for it."""
        return {nic.mac: f"{vm.meta.namespace}/{vm.name}" for vm in self.vms for nic in vm.nics if nic.mac}

    def pools_for(self, vid: int) -> list[IPPool]:
        """The L2 pools inside a subnet of the VLAN."""
        subnets = [
            each.network for network in self.carrying.get(vid, ()) for each in network.subnets_of(vid) if each.network
        ]
        return [
            pool
            for pool in self.pools
            if pool.l2 and pool.network and any(pool.network.subnet_of(subnet) for subnet in subnets)
        ]

    def nad_for(self, namespace: str, network: str, vid: int) -> Attachment | None:
        """The NAD of a VLAN in a namespace, by what its config says."""
        for nad in self.nads:
            if (nad.meta.namespace, nad.network, nad.vlan) == (namespace, network, vid):
                return nad
        return None

    def _claims(self, suffix: str) -> Iterable[tuple[str, str]]:
        for vm in self.vms:
            for key, value in vm.template.annotations.items():
                if not key.startswith("cni.projectcalico.org/") or not key.endswith(suffix):
                    continue
                try:
                    found = json.loads(value)
                except (ValueError, RecursionError):
                    continue
                for ip in strings(found):
                    yield ip, f"{vm.meta.namespace}/{vm.name}"


def _name(document: Doc) -> tuple[str, str]:
    return text(dig(document, "metadata", "namespace")), text(dig(document, "metadata", "name"))


def usable(subnet: IPv4Network) -> int:
    """How many addresses a VM could have: /31 and /32 reserve nothing, else first and last are not used."""
    return subnet.num_addresses if subnet.prefixlen >= 31 else subnet.num_addresses - 2
