"""CDI's upload of disks as documents: DataVolume, UploadTokenRequest, CDIConfig, and the claim that is filled.

After the API of kubevirt/containerized-data-importer: doc/upload.md, doc/datavolumes.md, pkg/uploadproxy,
pkg/uploadserver, and virtctl's image-upload, which is its other client.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

from bascule.resources.meta import Condition, Meta, condition, conditions_of
from bascule.resources.read import dig, strings, text

Doc = dict[str, Any]
UPLOAD_PATH = "/v1beta1/upload"
READY, SUCCEEDED, FAILED = "UploadReady", "Succeeded", "Failed"
MANAGED = {"app.kubernetes.io/managed-by": "bascule"}
# A claim is filled before any pod wants it, and what was filled is still to be seen afterwards.
KEPT = "cdi.kubevirt.io/storage.deleteAfterCompletion"
BOUND_NOW = "cdi.kubevirt.io/storage.bind.immediate.requested"
POD_PHASE = "cdi.kubevirt.io/storage.pod.phase"
_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3})|([KMGTPE]i|[mkMGTPE]))?")
_BINARY, _DECIMAL = "KMGTPE", "kMGTPE"


def quantity(value: Any) -> int | None:
    """Bytes of a Kubernetes quantity (`10Gi`, `1500M`, `1e9`, 512), rounded up; None when it is none."""
    found = _QUANTITY.fullmatch(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    if found is None:
        return None
    number, exponent, unit = found.groups()
    exact = Fraction(number)
    if exponent:
        exact *= Fraction(10) ** int(exponent)
    elif unit and unit.endswith("i"):
        exact *= 1024 ** (_BINARY.index(unit[0]) + 1)
    elif unit:
        exact *= Fraction(1, 1000) if unit == "m" else 1000 ** (_DECIMAL.index(unit) + 1)
    return math.ceil(exact)


def data_volume(namespace: str, name: str, size: int, storage_class: str = "") -> Doc:
    """A DataVolume that waits for an upload of at most `size` bytes, on the cluster's default storage if none is named.

    `spec.storage` and not `spec.pvc`: CDI then adds what a file system takes for itself, and takes access modes from
    the storage class's profile, which knows whether it can be shared.
    """
    storage: Doc = {"resources": {"requests": {"storage": str(size)}}}
    if storage_class:
        storage["storageClassName"] = storage_class
    return {
        "apiVersion": "cdi.kubevirt.io/v1beta1",
        "kind": "DataVolume",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(MANAGED),
            "annotations": {KEPT: "false", BOUND_NOW: ""},
        },
        "spec": {"source": {"upload": {}}, "storage": storage},
    }


def token_request(namespace: str, claim: str) -> Doc:
    """What is asked for leave to fill a claim; the answer's status.token is good for five minutes."""
    return {
        "apiVersion": "upload.cdi.kubevirt.io/v1beta1",
        "kind": "UploadTokenRequest",
        "metadata": {"name": claim, "namespace": namespace},
        "spec": {"pvcName": claim},
    }


@dataclass(frozen=True, slots=True)
class DataVolume:
    """`phase` is "" before CDI has looked; `requested` is spec.storage's or spec.pvc's request in bytes, or None."""

    meta: Meta
    phase: str
    requested: int | None
    uploads: bool
    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> DataVolume:
        wanted = dig(document, "spec", "storage") or dig(document, "spec", "pvc")
        return cls(
            meta=Meta.of(document),
            phase=text(dig(document, "status", "phase")),
            requested=quantity(dig(wanted, "resources", "requests", "storage")),
            uploads=dig(document, "spec", "source", "upload") is not None,
            conditions=conditions_of(document),
        )

    @property
    def ours(self) -> bool:
        """Whether Bascule made it."""
        return all(self.meta.labels.get(key) == value for key, value in MANAGED.items())

    @property
    def trouble(self) -> str:
        """What its conditions say against it, "" when nothing."""
        said = [condition(self.conditions, kind) for kind in ("Bound", "Running")]
        return "; ".join(
            each.message or each.reason for each in said if each and each.status == "False" and each.reason
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim; `capacity` in bytes, None while it is not bound."""

    meta: Meta
    phase: str
    capacity: int | None
    access_modes: tuple[str, ...]
    pod_phase: str
    owner: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Claim:
        meta = Meta.of(document)
        modes = dig(document, "status", "accessModes") or dig(document, "spec", "accessModes")
        owners = dig(document, "metadata", "ownerReferences") or ()
        return cls(
            meta=meta,
            phase=text(dig(document, "status", "phase")),
            capacity=quantity(dig(document, "status", "capacity", "storage")),
            access_modes=strings(modes),
            pod_phase=meta.annotations.get(POD_PHASE, ""),
            owner=next((text(dig(each, "name")) for each in owners if dig(each, "kind") == "DataVolume"), ""),
        )

    @property
    def shared(self) -> bool:
        """Whether pods on two nodes may write it, which a live migration needs."""
        return "ReadWriteMany" in self.access_modes


@dataclass(frozen=True, slots=True)
class UploadProxy:
    """Where uploads go: the URL of the POST, and the proxy's own CA (PEM) if CDI publishes it."""

    url: str
    authority: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> UploadProxy | None:
        """From CDIConfig `config`; None when it names no proxy. A bare host, as an Ingress gives, is taken as https."""
        said = text(dig(config, "status", "uploadProxyURL")).rstrip("/")
        if not said:
            return None
        url = said if "://" in said else f"https://{said}"
        if UPLOAD_PATH not in url:
            url += UPLOAD_PATH
        return cls(url, text(dig(config, "status", "uploadProxyCA")))

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc
