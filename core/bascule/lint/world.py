"""The documents being judged, and everything they are judged against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bascule.lint.vm_nics import Nic, nics_of
from bascule.policy.model import PolicySet, Refused
from bascule.resources.attachment import Attachment
from bascule.resources.ippool import IPPool
from bascule.resources.kubevirt import VirtualMachine
from bascule.resources.meta import Meta
from bascule.resources.network import Network
from bascule.resources.node import Node
from bascule.resources.policy import CALICO, NAMESPACED, POLICY_KINDS, Policy, policy_kind
from bascule.resources.policy_sets import GLOBAL_SET, NETWORK_SET, TIER
from bascule.resources.read import dig, mapping, text

NETWORK, NAD, POOL, VM, NODE = "Network", "NetworkAttachmentDefinition", "IPPool", "VirtualMachine", "Node"
GROUPS = {
    NETWORK: ("projectcalico.org", "crd.projectcalico.org"),
    POOL: ("projectcalico.org", "crd.projectcalico.org"),
    NAD: ("k8s.cni.cncf.io",),
    VM: ("kubevirt.io",),
    NODE: ("v1",),
    **dict.fromkeys((TIER, NETWORK_SET, GLOBAL_SET), (CALICO, "crd.projectcalico.org")),
}
POLICY, SET = "policy", "network set"
"""Words for rules on every kind of policy, and on both kinds of set."""
FAMILIES = {**dict.fromkeys(POLICY_KINDS, POLICY), NETWORK_SET: SET, GLOBAL_SET: SET}
_NAMESPACED = (NAD, VM, NETWORK_SET, *NAMESPACED)


Port = tuple[str, int]
"""A VM's `Document.ref` and the position of one of its NICs."""


@dataclass(frozen=True)
class Document:
    """One document; `kind` is "" for a kind, or a group, that no rule knows, and KubernetesNetworkPolicy for the
    NetworkPolicy of networking.k8s.io."""

    raw: Any
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, raw: Any) -> Document:
        meta, kind = Meta.of(mapping(raw)), text(dig(raw, "kind"))
        group = text(dig(raw, "apiVersion")).partition("/")[0]
        known = kind in GROUPS and (not group or group in GROUPS[kind])
        kind = policy_kind(raw) or (kind if known else "")
        namespace = meta.namespace or ("default" if kind in _NAMESPACED else "")
        return cls(raw, kind, namespace, meta.name)

    @property
    def ref(self) -> str:
        """`Kind/name` or `Kind/namespace/name`, with "?" for what is missing."""
        kind = text(dig(self.raw, "kind")) or "?"
        return "/".join(part for part in (kind, self.namespace, self.name or "?") if part)

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.kind, self.namespace, self.name

    @property
    def family(self) -> str:
        """POLICY or SET for those kinds, else ""."""
        return FAMILIES.get(self.kind, "")

    @cached_property
    def _placed(self) -> Mapping[str, Any]:
        """The document with the namespace it will get."""
        return {**mapping(self.raw), "metadata": {**mapping(dig(self.raw, "metadata")), "namespace": self.namespace}}

    @cached_property
    def network(self) -> Network:
        return Network.of(self._placed)

    @cached_property
    def attachment(self) -> Attachment:
        return Attachment.of(self._placed)

    @cached_property
    def pool(self) -> IPPool:
        return IPPool.of(self._placed)

    @cached_property
    def vm(self) -> VirtualMachine:
        return VirtualMachine.of(self._placed)

    @cached_property
    def nics(self) -> tuple[Nic, ...]:
        """A VM's NICs."""
        return nics_of(self.vm, self.raw)

    @cached_property
    def node(self) -> Node:
        return Node.of(self._placed)

    @cached_property
    def policy(self) -> Policy:
        return Policy.of(self._placed)


@dataclass(frozen=True)
class World:
    """`linted` are the documents to judge; `documents` are those and the context, each identity once."""

    linted: tuple[Document, ...]
    documents: tuple[Document, ...]

    @classmethod
    def of(cls, objects: Iterable[Any], context: Iterable[Any]) -> World:
        linted = tuple(Document.of(raw) for raw in objects)
        replaced = {document.identity for document in linted}
        others = (Document.of(raw) for raw in context)
        return cls(linted, (*linted, *(other for other in others if other.identity not in replaced)))

    def of_kind(self, kind: str) -> tuple[Document, ...]:
        return self._by_kind.get(kind, ())

    @cached_property
    def _by_kind(self) -> dict[str, tuple[Document, ...]]:
        kinds = {document.kind for document in self.documents}
        return {kind: tuple(each for each in self.documents if each.kind == kind) for kind in kinds}

    @cached_property
    def networks(self) -> dict[str, Network]:
        return {document.name: document.network for document in self.of_kind(NETWORK)}

    @cached_property
    def attachments(self) -> dict[str, Attachment]:
        """By `namespace/name`."""
        return {document.attachment.name: document.attachment for document in self.of_kind(NAD)}

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(document.node for document in self.of_kind(NODE))

    @cached_property
    def refused_policies(self) -> dict[tuple[str, str, str], Refused]:
        """Policies that cannot be used, by identity; also for what they refer to."""
        refused = PolicySet.of(document.raw for document in self.documents).refused
        return {each.policy.identity: each for each in refused if each.policy is not None}

    @cached_property
    def mac_owners(self) -> dict[tuple[str, str], list[Port]]:
        """Who has a MAC on a VLAN, by (place, MAC): one MAC on two VLANs is no clash."""
        owners: dict[tuple[str, str], list[Port]] = {}
        for document in self.of_kind(VM):
            for nic in document.nics:
                if nic.mac and nic.nad:
                    owners.setdefault((self.place(nic.nad), nic.mac), []).append((document.ref, nic.position))
        return owners

    @cached_property
    def address_owners(self) -> dict[str, list[Port]]:
        """Who asks for an address: IPAM hands out each address once, whatever the VLAN."""
        owners: dict[str, list[Port]] = {}
        for document in self.of_kind(VM):
            for nic in document.nics:
                for address in nic.addresses or ():
                    owners.setdefault(address, []).append((document.ref, nic.position))
        return owners

    def place(self, nad: str) -> str:
        """The segment behind a NAD as text, the NAD itself when that is unknown."""
        segment = self.segment(nad)
        return f"{segment[0].name}/{segment[1]}" if segment else nad

    def segment(self, nad: str) -> tuple[Network, int] | None:
        """The Network and VLAN a NAD leads to, None when either is unknown."""
        attachment = self.attachments.get(nad)
        network = self.networks.get(attachment.network) if attachment else None
        if attachment is None or network is None or attachment.vlan is None:
            return None
        return network, attachment.vlan
