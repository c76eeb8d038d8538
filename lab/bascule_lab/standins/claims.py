"""DataVolumes and the claims that they stand for, as CDI writes them: phases, annotations, conditions. Pure.

After pkg/controller (upload-controller, datavolume) of kubevirt/containerized-data-importer. The upload pod that its
annotations speak of is not there: the proxy itself takes the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.resources.cdi import POD_PHASE, quantity
from bascule_lab.standins import objects
from bascule_lab.standins.volumes import STORAGE_CLASS
from bascule_lab.standins.world import condition

Obj = dict[str, Any]
TARGET = "cdi.kubevirt.io/storage.upload.target"
POD_READY = "cdi.kubevirt.io/storage.pod.ready"
POD_NAME = "cdi.kubevirt.io/storage.uploadPodName"
# the storage profile of the lab: one machine's files, which all nodes share
ACCESS_MODES = ["ReadWriteMany"]


def wanted_size(spec: Mapping[str, Any]) -> int | None:
    """Bytes that a claim's (or a DataVolume's storage) spec asks for."""
    return quantity(((spec.get("resources") or {}).get("requests") or {}).get("storage"))


def storage_of(volume: Mapping[str, Any]) -> Obj:
    """A DataVolume's spec.storage, or its spec.pvc."""
    found: Obj = volume["spec"].get("storage") or volume["spec"].get("pvc") or {}
    return found


def claim_of(volume: Mapping[str, Any]) -> Obj:
    """The claim of a DataVolume that waits for an upload, owned by it."""
    meta, wanted = volume["metadata"], storage_of(volume)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {**(meta.get("labels") or {}), "app": "containerized-data-importer"},
            "annotations": {
                **(meta.get("annotations") or {}),
                TARGET: "",
                POD_NAME: f"cdi-upload-{meta['name']}",
                POD_PHASE: "Running",
                POD_READY: "true",
                "cdi.kubevirt.io/storage.contentType": volume["spec"].get("contentType") or "kubevirt",
            },
            "ownerReferences": [objects.owner(volume)],
        },
        "spec": {
            "accessModes": wanted.get("accessModes") or ACCESS_MODES,
            "storageClassName": wanted.get("storageClassName") or STORAGE_CLASS,
            "volumeMode": wanted.get("volumeMode") or "Filesystem",
            "resources": wanted["resources"],
        },
    }


def bound(claim: Mapping[str, Any], size: int) -> Obj:
    """The status of a claim that has its volume."""
    return {"phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": {"storage": str(size)}}


def owner_of(claim: Mapping[str, Any]) -> str:
    """Uid of the DataVolume that a claim belongs to, "" for none."""
    owners = claim["metadata"].get("ownerReferences") or ()
    return next((str(each["uid"]) for each in owners if each["kind"] == "DataVolume"), "")


def annotation(obj: Mapping[str, Any], name: str) -> str:
    """An annotation's value, "" without it."""
    return str((obj["metadata"].get("annotations") or {}).get(name, ""))


def is_done(claim: Mapping[str, Any]) -> bool:
    """Whether its upload has ended well."""
    return annotation(claim, POD_PHASE) == "Succeeded"


def volume_status(volume: Mapping[str, Any], claim: Mapping[str, Any] | None) -> Obj:
    """What a DataVolume says while its claim is so."""
    name = volume["metadata"]["name"]
    common = {"claimName": name, "progress": "N/A", "restartCount": 0}
    if claim is None or (claim.get("status") or {}).get("phase") != "Bound":
        lacking = condition("Bound", False, "Pending", f"PVC {name} Pending")
        return {**common, "phase": "UploadScheduled", "conditions": [lacking, condition("Ready", False, "")]}
    there = condition("Bound", True, "Bound", f"PVC {name} Bound")
    if is_done(claim):
        running = condition("Running", False, "Completed", "Upload Complete")
        return {**common, "phase": "Succeeded", "conditions": [there, condition("Ready", True, ""), running]}
    running = condition("Running", True, "Pod is running")
    ready = condition("Ready", False, "TransferRunning")
    return {**common, "phase": "UploadReady", "conditions": [there, ready, running]}
