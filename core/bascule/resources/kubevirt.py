"""KubeVirt's VirtualMachine, VirtualMachineInstance and VirtualMachineInstanceMigration (calico-l2.md 2.4, 4.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.meta import Condition, Meta, conditions_of
from bascule.resources.read import dig, items, mapping, strings, text, texts

RUN_STRATEGIES = ("Always", "Halted", "Manual", "Once", "RerunOnFailure", "WaitAsReceiver")
MIGRATION_ENDED = ("Succeeded", "Failed")


def pod_interface_name(network: str) -> str:
    """The pod-side interface KubeVirt makes for a VM network: `pod` and 11 hex of sha256(name)."""
    return "pod" + hashlib.sha256(network.encode(errors="surrogatepass")).hexdigest()[:11]


@dataclass(frozen=True, slots=True)
class VmNic:
    """One interface and its network, joined by name. `nad` is `namespace/name`, "" for the pod network;
    `binding` is bridge, masquerade, … or ""; `mac` is lower case or ""."""

    name: str
    mac: str
    binding: str
    nad: str

    @property
    def pod_interface(self) -> str:
        return pod_interface_name(self.name)


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """`template` is the VMI template's labels and annotations; `images` the containerDisk images."""

    meta: Meta
    run_strategy: str
    template: Meta
    nics: tuple[VmNic, ...]
    images: tuple[str, ...]
    node_selector: Mapping[str, str]
    printable_status: str
    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> VirtualMachine:
        meta = Meta.of(document)
        spec = dig(document, "spec", "template", "spec")
        running = dig(document, "spec", "running")
        implied = {True: "Always", False: "Halted"}.get(running, "") if isinstance(running, bool) else ""
        return cls(
            meta=meta,
            run_strategy=text(dig(document, "spec", "runStrategy")) or implied,
            template=Meta.of(mapping(dig(document, "spec", "template"))),
            nics=nics_of_spec(spec, meta.namespace),
            images=_images(spec),
            node_selector=texts(dig(spec, "nodeSelector")),
            printable_status=text(dig(document, "status", "printableStatus")),
            conditions=conditions_of(document),
        )

    @property
    def name(self) -> str:
        return self.meta.name


@dataclass(frozen=True, slots=True)
class InterfaceStatus:
    """One entry of a VMI's status.interfaces."""

    name: str
    mac: str
    ip: str
    ips: tuple[str, ...]
    pod_interface: str


@dataclass(frozen=True, slots=True)
class MigrationState:
    """status.migrationState, the same in a VMI and a VMIM. Times are ISO 8601 text or ""."""

    migration_uid: str
    source_node: str
    source_pod: str
    target_node: str
    target_pod: str
    mode: str
    started: str
    ended: str
    target_ready: str
    completed: bool
    failed: bool
    failure_reason: str
    abort_status: str

    @classmethod
    def of(cls, value: Any) -> MigrationState | None:
        """None when there is none."""
        if not isinstance(value, Mapping):
            return None
        return cls(
            migration_uid=text(value.get("migrationUid")),
            source_node=text(value.get("sourceNode")),
            source_pod=text(value.get("sourcePod")),
            target_node=text(value.get("targetNode")),
            target_pod=text(value.get("targetPod")),
            mode=text(value.get("mode")),
            started=text(value.get("startTimestamp")),
            ended=text(value.get("endTimestamp")),
            target_ready=text(value.get("targetNodeDomainReadyTimestamp")),
            completed=value.get("completed") is True,
            failed=value.get("failed") is True,
            failure_reason=text(value.get("failureReason")),
            abort_status=text(value.get("abortStatus")),
        )


@dataclass(frozen=True, slots=True)
class Instance:
    """A VirtualMachineInstance; `active_pods` maps launcher pod uid to node name."""

    meta: Meta
    phase: str
    node: str
    nics: tuple[VmNic, ...]
    images: tuple[str, ...]
    interfaces: tuple[InterfaceStatus, ...]
    migration: MigrationState | None
    active_pods: Mapping[str, str]
    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Instance:
        meta = Meta.of(document)
        status = mapping(dig(document, "status"))
        return cls(
            meta=meta,
            phase=text(status.get("phase")),
            node=text(status.get("nodeName")),
            nics=nics_of_spec(dig(document, "spec"), meta.namespace),
            images=_images(dig(document, "spec")),
            interfaces=tuple(_interface_status(entry) for entry in items(status.get("interfaces"))),
            migration=MigrationState.of(status.get("migrationState")),
            active_pods=texts(status.get("activePods")),
            conditions=conditions_of(document),
        )

    @property
    def name(self) -> str:
        return self.meta.name


@dataclass(frozen=True, slots=True)
class Migration:
    """A VirtualMachineInstanceMigration; `transitions` are (phase, ISO 8601 time) in the order they happened."""

    meta: Meta
    vmi: str
    added_node_selector: Mapping[str, str]
    phase: str
    state: MigrationState | None
    transitions: tuple[tuple[str, str], ...]
    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Migration:
        status = mapping(dig(document, "status"))
        return cls(
            meta=Meta.of(document),
            vmi=text(dig(document, "spec", "vmiName")),
            added_node_selector=texts(dig(document, "spec", "addedNodeSelector")),
            phase=text(status.get("phase")),
            state=MigrationState.of(status.get("migrationState")),
            transitions=tuple(
                (text(dig(entry, "phase")), text(dig(entry, "phaseTransitionTimestamp")))
                for entry in items(status.get("phaseTransitionTimestamps"))
            ),
            conditions=conditions_of(document),
        )

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def ended(self) -> bool:
        return self.phase in MIGRATION_ENDED


def nics_of_spec(spec: Any, namespace: str) -> tuple[VmNic, ...]:
    """The interfaces of a VMI spec in their order; an interface without a network of its name has nad ""."""
    nads = {
        text(dig(network, "name")): qualified(text(dig(network, "multus", "networkName")), namespace)
        for network in items(dig(spec, "networks"))
    }
    return tuple(
        VmNic(
            name=text(dig(interface, "name")),
            mac=text(dig(interface, "macAddress")).replace("-", ":").lower(),
            binding=_binding(mapping(interface)),
            nad=nads.get(text(dig(interface, "name")), ""),
        )
        for interface in items(dig(spec, "domain", "devices", "interfaces"))
    )


def qualified(name: str, namespace: str) -> str:
    """A reference as `namespace/name`, with the object's own namespace when it names none; "" stays ""."""
    return name if not name or "/" in name else f"{namespace}/{name}"


def _binding(interface: Mapping[str, Any]) -> str:
    known = ("bridge", "masquerade", "sriov", "slirp", "macvtap", "passt")
    plugin = text(dig(interface.get("binding"), "name"))
    return next((kind for kind in known if kind in interface), plugin)


def _images(spec: Any) -> tuple[str, ...]:
    return strings([dig(volume, "containerDisk", "image") for volume in items(dig(spec, "volumes"))])


def _interface_status(entry: Any) -> InterfaceStatus:
    return InterfaceStatus(
        name=text(dig(entry, "name")),
        mac=text(dig(entry, "mac")).lower(),
        ip=text(dig(entry, "ipAddress")),
        ips=strings(dig(entry, "ipAddresses")),
        pod_interface=text(dig(entry, "podInterfaceName")),
    )
