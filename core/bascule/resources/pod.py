"""The launcher pod contract (docs/design/contracts.md section 2): which NICs of which VM hang on this pod.

Unlike the other views this one is strict: an agent opens a port for the MAC, address and VLAN read here, so a value
that does not parse is an error that names pod and annotation, never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from bascule.errors import BasculeError
from bascule.resources.kubevirt import Instance
from bascule.resources.meta import Meta
from bascule.resources.network import VLAN_MAX, VLAN_MIN
from bascule.resources.read import dig, integer, items, mapping, text

CALICO = "cni.projectcalico.org/"
NETWORKS = "k8s.v1.cni.cncf.io/networks"
STATUS = "k8s.v1.cni.cncf.io/network-status"
NETNS = CALICO + "podNetns"
_STATUS_SUFFIX = ".network-status"
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class PodContractError(BasculeError):
    """A launcher pod's annotation that does not hold what the contract says."""

    def __init__(self, pod: Meta, annotation: str, problem: str) -> None:
        super().__init__(
            f"pod {pod.namespace}/{pod.name}: annotation {annotation}: {problem}",
            cause="a CNI plugin or a person wrote it in another shape than Calico does",
            fix="delete the pod, so that the CNI plugin writes it again",
        )


@dataclass(frozen=True, slots=True)
class PodNic:
    """One NIC on a VLAN. `nic` is the VM's name for it (the interface without the VMI); `network` and `vlan` name the
    segment; `mac` is lower case; `ip` is IPv4 or ""; `netns` is a path or ""; `migration_uid` is the VMIM's uid on a
    migration target, else ""; `nad` is `namespace/name` or ""."""

    pod: str
    namespace: str
    vm: str
    nic: str
    interface: str
    network: str
    vlan: int
    mac: str
    ip: str
    netns: str
    migration_uid: str
    nad: str
    labels: tuple[tuple[str, str], ...] = field(default=(), compare=False)  # the Pod's; no NIC differs by them


def is_launcher(pod: Mapping[str, Any]) -> bool:
    """Is this Pod a virt-launcher?"""
    return Meta.of(pod).labels.get("kubevirt.io") == "virt-launcher"


def nics_of(pod: Mapping[str, Any], vmi: Mapping[str, Any] | None = None) -> tuple[PodNic, ...]:
    """The NICs of a launcher Pod that are on a VLAN, by interface name; () for other pods and before CNI wrote them.

    `vmi` is the VirtualMachineInstance document, which names the NICs. Raises PodContractError.
    """
    if not is_launcher(pod):
        return ()
    meta = Meta.of(pod)
    names = {nic.pod_interface: nic.name for nic in Instance.of(vmi).nics} if vmi else {}
    nads = {entry["interface"]: _nad(entry, meta.namespace) for entry in _list(meta, NETWORKS)}
    status = {entry["interface"]: entry for entry in _list(meta, STATUS)}
    return tuple(
        PodNic(
            pod=meta.name,
            namespace=meta.namespace,
            vm=meta.labels.get("vm.kubevirt.io/name", ""),
            nic=names.get(interface, interface),
            interface=interface,
            network=network,
            vlan=vlan,
            mac=mac,
            ip=_ip(meta, status.get(interface, {})),
            netns=meta.annotations.get(NETNS, ""),
            migration_uid=meta.labels.get("kubevirt.io/migrationJobUID", ""),
            labels=tuple(sorted(meta.labels.items())),
            nad=nads.get(interface) or text(dig(status.get(interface), "name")),
        )
        for interface, network, vlan, mac in _segments(meta)
    )


def _segments(meta: Meta) -> list[tuple[str, str, int, str]]:
    """(interface, Network, VLAN, MAC) of every Calico status with a VLAN; one without is a routed interface."""
    found = []
    for key in sorted(meta.annotations):
        if not key.startswith(CALICO) or not key.endswith(_STATUS_SUFFIX):
            continue
        value = _json(meta, key)
        if not isinstance(value, Mapping):
            raise PodContractError(meta, key, "is not a JSON object")
        if "vlan" not in value:
            continue
        vlan, network, mac = integer(value["vlan"]), text(value.get("name")), text(value.get("mac")).lower()
        if vlan is None or not VLAN_MIN <= vlan <= VLAN_MAX:
            raise PodContractError(meta, key, f"vlan is {value['vlan']!r}, not a VLAN id (1 to 4094)")
        if not network:
            raise PodContractError(meta, key, "has no Network in name")
        if not _MAC.fullmatch(mac) or int(mac[1], 16) & 1:
            raise PodContractError(meta, key, f"mac is {value.get('mac')!r}, not a unicast MAC address")
        found.append((key[len(CALICO) : -len(_STATUS_SUFFIX)], network, vlan, mac))
    return found


def _json(meta: Meta, key: str) -> Any:
    try:
        return json.loads(meta.annotations[key])
    except (ValueError, RecursionError) as error:
        raise PodContractError(meta, key, f"is not JSON ({error})") from error


def _list(meta: Meta, key: str) -> list[Mapping[str, Any]]:
    """The objects of a Multus list that name an interface; Multus' short form (`nad@interface, …`) is read too."""
    raw = meta.annotations.get(key, "").strip()
    if not raw:
        return []
    if key == NETWORKS and not raw.startswith("["):
        pairs = [entry.strip().partition("@") for entry in raw.split(",")]
        return [{"name": nad, "interface": interface} for nad, _, interface in pairs if interface]
    value = _json(meta, key)
    if not isinstance(value, list):
        raise PodContractError(meta, key, "is not a JSON list")
    return [mapping(entry) for entry in value if text(dig(entry, "interface"))]


def _nad(entry: Mapping[str, Any], namespace: str) -> str:
    name = text(entry.get("name"))
    return name if "/" in name else f"{text(entry.get('namespace')) or namespace}/{name}"


def _ip(meta: Meta, status: Mapping[str, Any]) -> str:
    """The interface's first IPv4 address; IPv6 is dropped on L2 interfaces anyway."""
    for entry in items(status.get("ips")):
        address = text(entry)
        if ":" in address:
            continue
        try:
            return str(IPv4Address(address.partition("/")[0]))
        except ValueError as error:
            raise PodContractError(meta, STATUS, f"ips holds {entry!r}, not an IPv4 address") from error
    return ""
