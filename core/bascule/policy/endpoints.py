"""Endpoints as policies see them: one for each NIC of a VM on a VLAN, one for every ordinary pod.

Labels are those of reference/calico-l2.md 3.1: the pod's own (KubeVirt copies the VM template's to the launcher pod),
the namespace, orchestrator and service account, and for a NIC its Network and NAD. There is no VLAN label in Calico: a
policy targets a VLAN by its NAD, one NAD per VLAN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.resources import policy_scope as scope
from bascule.resources.attachment import Attachment
from bascule.resources.meta import Meta
from bascule.resources.pod import PodContractError, PodNic, is_launcher, nics_of
from bascule.resources.policy_read import PROTOCOLS, as_net
from bascule.resources.read import dig, integer, items, mapping, text

Key = tuple[str, str, str]
"""Namespace, pod, interface ("" for an ordinary pod): what tells endpoints apart."""
NamedPort = tuple[str, int, int]
"""Name, protocol number, port."""
_NETWORK = "projectcalico.org/network"
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`ips` are addresses as text; `labels` those of the endpoint itself, without its namespace's and account's.

    `vm` and `nic` are "" for an ordinary pod, which is a peer and never gets a program of Bascule's.
    """

    namespace: str
    pod: str
    interface: str = ""
    vm: str = ""
    nic: str = ""
    network: str = ""
    vlan: int = 0
    ips: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    account: str = ""
    ports: tuple[NamedPort, ...] = ()

    @property
    def key(self) -> Key:
        return self.namespace, self.pod, self.interface

    @property
    def name(self) -> str:
        """`namespace/vm/nic`, or `namespace/pod` for an ordinary pod."""
        return "/".join((self.namespace, self.vm, self.nic) if self.vm else (self.namespace, self.pod))

    @property
    def profiles(self) -> tuple[str, ...]:
        """Kubernetes' profiles: the namespace's, then the service account's."""
        names = [f"kns.{self.namespace}"] if self.namespace else []
        return (*names, f"ksa.{self.namespace}.{self.account}") if self.account else tuple(names)


@dataclass(frozen=True, slots=True)
class Found:
    """`problems` are pods whose annotations do not hold what the pod contract says: their NICs are not among them."""

    endpoints: tuple[Endpoint, ...]
    problems: tuple[PodContractError, ...] = ()


def endpoints_of(
    pods: Iterable[Mapping[str, Any]],
    vmis: Iterable[Mapping[str, Any]] = (),
    nads: Iterable[Mapping[str, Any]] = (),
) -> Found:
    """Every endpoint of these Pods; VMIs name the NICs and their ports, NADs say which Network they lead to."""
    instances = {(meta.namespace, meta.name): vmi for vmi in vmis for meta in (Meta.of(vmi),)}
    attachments = {attachment.name: attachment for attachment in map(Attachment.of, nads)}
    endpoints: list[Endpoint] = []
    problems: list[PodContractError] = []
    for pod in pods:
        if text(dig(pod, "status", "phase")) in _ENDED:
            continue
        if not is_launcher(pod):
            endpoints += _ordinary(pod)
            continue
        meta = Meta.of(pod)
        vmi = instances.get((meta.namespace, meta.labels.get("vm.kubevirt.io/name", "")))
        try:
            endpoints += [_of_nic(pod, nic, vmi, attachments) for nic in nics_of(pod, vmi)]
        except PodContractError as error:
            problems.append(error)
    return Found(tuple(sorted(endpoints, key=lambda endpoint: endpoint.key)), tuple(problems))


def _of_nic(
    pod: Mapping[str, Any], nic: PodNic, vmi: Mapping[str, Any] | None, nads: Mapping[str, Attachment]
) -> Endpoint:
    labels, account = _pod_labels(pod)
    nad = nads.get(nic.nad)
    # The payload's name is opaque (2.3); the NAD says which Network it is.
    network = nad.network if nad is not None and nad.network else nic.network
    labels |= {_NETWORK: network, "projectcalico.org/network-interface": nic.interface}
    if nic.nad:
        namespace, _, name = nic.nad.partition("/")
        labels |= {_NETWORK + "-attachment": name, _NETWORK + "-attachment-namespace": namespace}
    return Endpoint(
        namespace=nic.namespace,
        pod=nic.pod,
        interface=nic.interface,
        vm=nic.vm,
        nic=nic.nic,
        network=network,
        vlan=nic.vlan,
        ips=(nic.ip,) if nic.ip else (),
        labels=labels,
        account=account,
        ports=(*_container_ports(pod), *_interface_ports(vmi, nic.nic)),
    )


def _ordinary(pod: Mapping[str, Any]) -> list[Endpoint]:
    """The pod network's endpoint; none for a pod on its host's network or without an address."""
    meta, status = Meta.of(pod), mapping(dig(pod, "status"))
    given = [text(dig(entry, "ip")) for entry in items(status.get("podIPs"))] or [text(status.get("podIP"))]
    ips = tuple(ip for ip in given if "/" not in ip and as_net(ip) is not None)
    if not ips or dig(pod, "spec", "hostNetwork") is True:
        return []
    labels, account = _pod_labels(pod)
    ports = tuple(_container_ports(pod))
    return [Endpoint(meta.namespace, meta.name, ips=ips, labels=labels, account=account, ports=ports)]


def _pod_labels(pod: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """The labels that every endpoint of the pod has, and its service account."""
    meta = Meta.of(pod)
    account = text(dig(pod, "spec", "serviceAccountName")) or "default"
    added = {scope.NAMESPACE: meta.namespace, scope.ORCHESTRATOR: "k8s", scope.SERVICE_ACCOUNT: account}
    return {**meta.labels, **added}, account


def _container_ports(pod: Mapping[str, Any]) -> list[NamedPort]:
    entries = [port for each in items(dig(pod, "spec", "containers")) for port in items(dig(each, "ports"))]
    return _ports((entry, "containerPort") for entry in entries)


def _interface_ports(vmi: Mapping[str, Any] | None, nic: str) -> list[NamedPort]:
    interfaces = items(dig(vmi, "spec", "domain", "devices", "interfaces"))
    entries = [port for each in interfaces if dig(each, "name") == nic for port in items(dig(each, "ports"))]
    return _ports((entry, "port") for entry in entries)


def _ports(entries: Iterable[tuple[Any, str]]) -> list[NamedPort]:
    found = []
    for entry, field_name in entries:
        name, port = text(dig(entry, "name")), integer(dig(entry, field_name))
        protocol = PROTOCOLS.get((text(dig(entry, "protocol")) or "TCP").lower())
        if name and protocol and port is not None and 1 <= port <= 65535:
            found.append((name, protocol, port))
    return found
