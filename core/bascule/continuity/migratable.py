"""Why a VM cannot be migrated: KubeVirt's reasons, each with the field that causes it and what to do.

Reasons as in kubevirt.io/api core/v1 types.go (anchors.md 2.5). A reason that is not here is shown as KubeVirt says it.
"""

from __future__ import annotations

from dataclasses import dataclass

_DEVICES = "spec.template.spec.domain.devices"


@dataclass(frozen=True, slots=True)
class Cure:
    """The VM's field behind a reason, and the change that removes it."""

    field: str
    fix: str


REASONS: dict[str, Cure] = {
    "DisksNotLiveMigratable": Cure(
        "spec.template.spec.volumes", "use a volume with accessModes ReadWriteMany, or a container disk"
    ),
    "InterfaceNotLiveMigratable": Cure(
        f"{_DEVICES}.interfaces",
        "use masquerade on the pod network, or annotate the template with "
        "kubevirt.io/allow-pod-bridge-network-live-migration",
    ),
    "HotplugNotLiveMigratable": Cure("spec.template.spec.volumes", "detach the hotplugged volume, or make it RWX"),
    "CPUModeLiveMigratable": Cure(
        "spec.template.spec.domain.cpu.model", "name a CPU model that every node has, instead of host-passthrough"
    ),
    "VirtIOFSNotLiveMigratable": Cure(f"{_DEVICES}.filesystems", "remove the virtiofs share, or use a disk"),
    "HostDeviceNotLiveMigratable": Cure(
        f"{_DEVICES}.hostDevices", "remove the host device or GPU; it cannot leave its node"
    ),
    "SEVNotLiveMigratable": Cure("spec.template.spec.domain.launchSecurity.sev", "SEV guests stay where they are"),
    "SecureExecutionNotLiveMigratable": Cure(
        "spec.template.spec.domain.launchSecurity", "Secure Execution guests stay where they are"
    ),
    "TDXNotLiveMigratable": Cure("spec.template.spec.domain.launchSecurity.tdx", "TDX guests stay where they are"),
    "NoTSCFrequencyNotLiveMigratable": Cure(
        "spec.template.spec.domain.cpu.features", "no node exposes a TSC frequency: drop invtsc, or label the nodes"
    ),
    "HypervPassthroughNotLiveMigratable": Cure(
        "spec.template.spec.domain.features.hypervPassthrough", "name the Hyper-V features one by one"
    ),
    "PersistentReservationNotLiveMigratable": Cure(
        f"{_DEVICES}.disks[].lun.reservation", "SCSI persistent reservations do not move; remove reservation"
    ),
    "DecentralizedNotLiveMigratable": Cure("spec.runStrategy", "this VM waits for a migration from another cluster"),
    "NotAllDVsReady": Cure("spec.dataVolumeTemplates", "wait until every DataVolume has Succeeded"),
    "NotMigratable": Cure("spec.template.spec", "read the condition's message, then kubectl describe vmi"),
}


def cure(reason: str) -> Cure:
    """What to do about a reason of the condition LiveMigratable."""
    return REASONS.get(reason, Cure("status.conditions[LiveMigratable]", "read the condition's message"))
