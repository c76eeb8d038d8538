"""VM → VMI → launcher Pod as KubeVirt shapes them: the documents the virt-controller stand-in writes. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bascule.resources.kubevirt import pod_interface_name

Obj = dict[str, Any]
GUEST_IMAGE = "registry/bascule/lab-guest"
STAND_IN = {"bascule.dev/stand-in": "kubevirt"}


def wants_to_run(vm: Mapping[str, Any]) -> bool:
    """Whether the VM's spec asks for a running instance now."""
    spec = vm["spec"]
    if "runStrategy" in spec:
        return bool(spec["runStrategy"] in ("Always", "Once", "RerunOnFailure"))
    return bool(spec.get("running"))


def reruns(vm: Mapping[str, Any], phase: str) -> bool:
    """Whether a VM whose instance ended in this phase is to run again, by its run strategy."""
    strategy = vm["spec"].get("runStrategy") or ("Always" if vm["spec"].get("running") else "")
    return strategy == "Always" or (strategy == "RerunOnFailure" and phase == "Failed")


def why_not_movable(vmi: Mapping[str, Any], shared: Collection[str] = ()) -> tuple[str, str] | None:
    """(reason, message) of LiveMigratable=False as KubeVirt gives it, None for a VMI that can move.

    `shared` are the claims that two nodes may write.
    """
    devices = vmi["spec"]["domain"].get("devices") or {}
    for kind in ("hostDevices", "gpus"):
        if devices.get(kind):
            return "HostDeviceNotLiveMigratable", f"VMI uses a PCI host device: {devices[kind][0].get('name', kind)}"
    for volume in vmi["spec"].get("volumes") or []:
        if "hostDisk" in volume:
            return "DisksNotLiveMigratable", f"cannot migrate VMI with non-shared HostDisk {volume['name']}"
        claim = _claim(volume)
        if claim and claim not in shared:
            text = (
                f"cannot migrate VMI: PVC {claim} is not shared, live migration requires that all PVCs must be shared"
            )
            return "DisksNotLiveMigratable", f"{text} (using ReadWriteMany access mode)"
    return None


def _claim(volume: Mapping[str, Any]) -> str:
    """The claim of a volume: its own, or that of its DataVolume, which has the same name."""
    named = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    return str(named or (volume.get("dataVolume") or {}).get("name") or "")


def claims(vmi: Mapping[str, Any]) -> list[str]:
    """The claims among the VMI's volumes, in order."""
    return [claim for volume in vmi["spec"].get("volumes") or [] if (claim := _claim(volume))]


def boots_from_claim(vmi: Mapping[str, Any]) -> bool:
    """Whether the first volume is a claim: such a VMI is booted, any other is a clone of the lab's guest."""
    volumes = vmi["spec"].get("volumes") or []
    return bool(volumes) and bool(_claim(volumes[0]))


def owner(obj: Mapping[str, Any]) -> Obj:
    """An ownerReference to `obj`, controller."""
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def vmi_of(vm: Mapping[str, Any]) -> Obj:
    """The VMI of a VM: its template, owned by it."""
    template = copy.deepcopy(vm["spec"]["template"])
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {
            "name": vm["metadata"]["name"],
            "namespace": vm["metadata"]["namespace"],
            "labels": {**(meta.get("labels") or {}), "vm.kubevirt.io/name": vm["metadata"]["name"]},
            "annotations": {**(meta.get("annotations") or {}), **STAND_IN},
            "ownerReferences": [owner(vm)],
        },
        "spec": template["spec"],
    }


def image_of(vmi: Mapping[str, Any]) -> str:
    """The first containerDisk's image, or an empty string."""
    for volume in vmi["spec"].get("volumes") or []:
        if "containerDisk" in volume:
            return str(volume["containerDisk"].get("image", ""))
    return ""


def nics(vmi: Mapping[str, Any]) -> list[Obj]:
    """NICs on Multus networks: `{name, mac, namespace, nad}`, in the VMI's order."""
    macs = {i["name"]: i.get("macAddress", "") for i in vmi["spec"]["domain"]["devices"].get("interfaces") or []}
    found = []
    for network in vmi["spec"].get("networks") or []:
        if "multus" not in network:
            continue
        path = network["multus"]["networkName"]
        namespace, _, name = path.rpartition("/")
        found.append(
            {
                "name": network["name"],
                "mac": macs.get(network["name"], ""),
                "namespace": namespace or vmi["metadata"]["namespace"],
                "nad": name,
            }
        )
    return found


def mac_for(handle: str, nic: str) -> str:
    """A stable, locally administered MAC for a NIC whose VM names none."""
    digest = hashlib.sha256(f"{handle}/{nic}".encode()).digest()
    return "02:" + digest[:5].hex(":")


def talk(vmi: Mapping[str, Any]) -> tuple[tuple[str, ...], float]:
    """Whom the lab guest talks to and how often in seconds, from its cloud-init user data.

    The line is `# bascule-lab-guest: talk 10.110.0.12:7,10.110.0.1 every 2`; without it the guest keeps silent.
    """
    for volume in vmi["spec"].get("volumes") or []:
        text = (volume.get("cloudInitNoCloud") or {}).get("userData", "")
        found = re.search(r"^# bascule-lab-guest: talk (\S+) every ([0-9.]+)$", text, re.MULTILINE)
        if found:
            return tuple(found[1].split(",")), float(found[2])
    return (), 1.0


def requested_ip(vmi: Mapping[str, Any], nic: str) -> str:
    """The address that annotation `cni.projectcalico.org/<nic>.ipAddrs` asks for, or an empty string."""
    text = (vmi["metadata"].get("annotations") or {}).get(f"cni.projectcalico.org/{nic}.ipAddrs", "")
    return str(json.loads(text)[0]) if text else ""


def launcher_pod(vmi: Mapping[str, Any], move: Mapping[str, Any] | None = None) -> Obj:
    """The launcher Pod; for a migration `move` it is the target's, with KubeVirt's job label."""
    meta = vmi["metadata"]
    labels = {**(meta.get("labels") or {}), "kubevirt.io": "virt-launcher", "kubevirt.io/created-by": meta["uid"]}
    selector = dict(vmi["spec"].get("nodeSelector") or {})
    if move is not None:
        labels["kubevirt.io/migrationJobUID"] = move["metadata"]["uid"]
        selector.update(move["spec"].get("addedNodeSelector") or {})
    requests = [
        {
            "name": n["nad"],
            "namespace": n["namespace"],
            "interface": pod_interface_name(n["name"]),
            **({"mac": n["mac"]} if n["mac"] else {}),
        }
        for n in nics(vmi)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"virt-launcher-{meta['name']}-",
            "namespace": meta["namespace"],
            "labels": labels,
            "annotations": {
                **(meta.get("annotations") or {}),
                "k8s.v1.cni.cncf.io/networks": json.dumps(requests),
            },
            "ownerReferences": [owner(vmi)],
        },
        "spec": {
            "nodeSelector": selector,
            "containers": [{"name": "compute", "image": image_of(vmi) or "none"}],
            "volumes": [
                {"name": f"disk{n}", "persistentVolumeClaim": {"claimName": c}} for n, c in enumerate(claims(vmi))
            ],
        },
        "status": {"phase": "Pending"},
    }


def cni_annotations(results: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], netns: str) -> dict[str, str]:
    """The annotations that CNI leaves on the Pod (docs/design/contracts.md section 2).

    `results` pairs a NIC of `nics` with `{mac, ip, network, vlan}`; `netns` is the pod's network namespace path.
    """
    statuses = []
    found = {"cni.projectcalico.org/podNetns": netns}
    for nic, got in results:
        interface = pod_interface_name(nic["name"])
        statuses.append(
            {
                "name": f"{nic['namespace']}/{nic['nad']}",
                "interface": interface,
                "ips": [got["ip"]],
                "mac": got["mac"],
                "dns": {},
            }
        )
        found[f"cni.projectcalico.org/{interface}.network-status"] = json.dumps(
            {"name": got["network"], "mac": got["mac"], "vlan": got["vlan"]}
        )
    found["k8s.v1.cni.cncf.io/network-status"] = json.dumps(statuses)
    return found
