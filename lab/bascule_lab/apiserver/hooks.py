"""What single built-in kinds want at a write, beside their schema."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from bascule_lab.apiserver import crds
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import CRDS
from bascule_lab.apiserver.status import FieldError, invalid_value, required

Hook = Callable[[Document, Document | None], list[FieldError]]


def _namespace(new: Document, old: Document | None) -> list[FieldError]:
    name = new["metadata"]["name"]
    if "." in name or len(name) > 63:
        return [invalid_value("metadata.name", name, "must be a DNS label of 63 characters at most")]
    # defaulted at every write, so that nobody can change it (SetDefaults_Namespace in pkg/apis/core/v1)
    own = new["metadata"]
    own["labels"] = {**(own.get("labels") or {}), "kubernetes.io/metadata.name": name}
    if old is None:
        new["spec"] = {**(new.get("spec") or {}), "finalizers": ["kubernetes"]}
        new["status"] = {"phase": "Active"}
    else:
        new["spec"] = {**(new.get("spec") or {}), "finalizers": old["spec"].get("finalizers", [])}
    return []


def _pod(new: Document, old: Document | None) -> list[FieldError]:
    if old is None:
        new["status"] = {"phase": "Pending"}
        return []
    before, after = ((document.get("spec") or {}).get("nodeName") for document in (old, new))
    if before and after != before:
        return [invalid_value("spec.nodeName", after, "field is immutable once the pod is bound to a node")]
    return []


PVC_PROTECTION = "kubernetes.io/pvc-protection"


def _claim(new: Document, old: Document | None) -> list[FieldError]:
    """A claim is protected from the start (plugin/pkg/admission/storage/storageobjectinuseprotection)."""
    if old is not None:
        return []
    new["status"] = {"phase": "Pending"}
    held = new["metadata"].setdefault("finalizers", [])
    if PVC_PROTECTION not in held:
        held.append(PVC_PROTECTION)
    wanted = ((new.get("spec") or {}).get("resources") or {}).get("requests") or {}
    errors = [] if (new.get("spec") or {}).get("accessModes") else [required("spec.accessModes")]
    return errors if "storage" in wanted else [*errors, required("spec.resources[storage]")]


def _event(new: Document, _old: Document | None) -> list[FieldError]:
    """Events on cluster-scoped objects live in `default` (ValidateEvent in pkg/apis/core/validation)."""
    of = (new.get("involvedObject") or {}).get("namespace") or "default"
    here = new["metadata"]["namespace"]
    return [] if of == here else [invalid_value("involvedObject.namespace", of, "does not match event.namespace")]


def _secret(new: Document, old: Document | None) -> list[FieldError]:
    data = new["data"] = dict(new.get("data") or {})
    for name, text in (new.pop("stringData", None) or {}).items():
        data[name] = base64.b64encode(text.encode(errors="surrogatepass")).decode()
    new.setdefault("type", old["type"] if old else "Opaque")
    errors = []
    for name, text in data.items():
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            errors.append(FieldError("FieldValueInvalid", f"data[{name}]", "Invalid value: is no base64"))
    return errors


def _crd(new: Document, old: Document | None) -> list[FieldError]:
    errors = crds.check(new)
    if not errors and old is not None:
        was, now = old["spec"], new["spec"]
        if was["scope"] != now["scope"] or was["names"]["kind"] != now["names"]["kind"]:
            errors.append(invalid_value("spec", now["scope"], "scope and names.kind are immutable"))
    if not errors:
        crds.fill_in(new, old)
    return errors


HOOKS: dict[str, Hook] = {
    "namespaces": _namespace,
    "pods": _pod,
    "events": _event,
    "secrets": _secret,
    "persistentvolumeclaims": _claim,
    CRDS: _crd,
}
