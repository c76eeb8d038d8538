"""ObjectMeta: what the server writes, what a client may, and what must not change.

Functions change the documents they are given. Rules after k8s.io/apimachinery pkg/api/validation/objectmeta.go and
k8s.io/apiserver pkg/registry/rest.
"""

from __future__ import annotations

import random
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import METADATA, Kind, field_values
from bascule_lab.apiserver.schema import validate
from bascule_lab.apiserver.selectors import LABEL_KEY, LABEL_VALUE
from bascule_lab.apiserver.status import (
    FieldError,
    bad_request,
    conflict,
    forbidden_field,
    invalid,
    invalid_value,
    required,
)
from bascule_lab.apiserver.store import Index, Record

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_BAD_NAME = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_SERVERS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_DROPPED = ("selfLink",)
ANNOTATION_BYTES = 256 * 1024


def now() -> str:
    """The present as metav1.Time writes it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def identify(kind: Kind, document: Document, namespace: str, name: str = "") -> dict[str, Any]:
    """Check a body against its URL (400 when they differ); returns its metadata, without nulls."""
    for key, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        have = document.get(key)
        if have is None and not kind.custom:
            document[key] = wanted
        elif have != wanted:
            raise bad_request(f"the {key} in the data ({have}) does not match the expected {key} ({wanted})")
    meta = document.get("metadata")
    if meta is None:
        meta = {}
    errors = validate(METADATA, meta, "metadata")
    if errors:
        text = "; ".join(str(error) for error in errors)
        raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}')
    meta = {key: value for key, value in meta.items() if value is not None and key not in _DROPPED}
    document["metadata"] = meta
    if name and meta.setdefault("name", name) != name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    if meta.get("namespace", namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if namespace:
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    return meta


def begin(kind: Kind, meta: dict[str, Any]) -> None:
    """A new object's own fields; a name out of generateName when there is none."""
    if "name" not in meta or not meta["name"]:
        if not meta.get("generateName"):
            raise invalid(kind.group, kind.kind, "", [required("metadata.name", "name or generateName is required")])
        meta["name"] = meta["generateName"][:58] + "".join(random.choices(_LETTERS, k=5))
    for key in (*_SERVERS, "resourceVersion", "managedFields"):
        meta.pop(key, None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = now()
    if kind.has_generation:
        meta["generation"] = 1


def carry_over(kind: Kind, meta: dict[str, Any], old: Record, old_meta: dict[str, Any]) -> None:
    """Preconditions inside the body (409), then the server's fields from the stored object."""
    name = old_meta["name"]
    if kind.needs_version and not meta.get("resourceVersion"):
        error = FieldError("FieldValueInvalid", "metadata.resourceVersion", _NO_VERSION)
        raise invalid(kind.group, kind.kind, name, [error])
    precondition(kind, name, old, meta.get("uid"), meta.get("resourceVersion"))
    for key in (*_SERVERS, "resourceVersion", "generateName"):
        if key in old_meta:
            meta[key] = old_meta[key]
        else:
            meta.pop(key, None)


_NO_VERSION = "Invalid value: 0x0: must be specified for an update"


def precondition(kind: Kind, name: str, old: Record, uid: str | None, version: str | None) -> None:
    """409 unless the stored object is the one meant."""
    if uid and uid != old.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.uid}"
        raise conflict(kind.group, kind.plural, name, why)
    if version and version != str(old.rv):
        raise conflict(kind.group, kind.plural, name)


def check(kind: Kind, meta: dict[str, Any], old_meta: dict[str, Any] | None) -> list[FieldError]:
    """Names, labels, annotations and finalizers."""
    errors = []
    name = meta["name"]
    if kind.free_names:
        if name in (".", "..") or "/" in name or "%" in name:
            errors.append(invalid_value("metadata.name", name, "may not be '.' or '..', nor contain '/' or '%'"))
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        errors.append(invalid_value("metadata.name", name, _BAD_NAME))
    for key, value in meta.get("labels", {}).items():
        if not LABEL_KEY.fullmatch(key):
            errors.append(invalid_value("metadata.labels", key, "name part must consist of alphanumeric characters"))
        if not LABEL_VALUE.fullmatch(value):
            errors.append(invalid_value("metadata.labels", value, "a valid label must be 63 characters at most"))
    if sum(len(key) + len(value) for key, value in meta.get("annotations", {}).items()) > ANNOTATION_BYTES:
        text = f"Too long: may not be more than {ANNOTATION_BYTES} bytes"
        errors.append(FieldError("FieldValueTooLong", "metadata.annotations", text))
    if old_meta and old_meta.get("deletionTimestamp"):
        added = set(meta.get("finalizers", ())) - set(old_meta.get("finalizers", ()))
        if added:
            text = f"no new finalizers can be added if the object is being deleted, found new: {sorted(added)}"
            errors.append(forbidden_field("metadata.finalizers", text))
    return errors


FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


def set_policy(own: dict[str, Any], policy: str) -> bool:
    """Put the finalizer that stands for a propagationPolicy into metadata; whether that changed it."""
    if not policy:
        return False
    before = own.get("finalizers", [])
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
    after = [name for name in before if name not in (FOREGROUND, ORPHAN) or name in wanted]
    after += [name for name in wanted if name not in after]
    own["finalizers"] = after
    if not after:
        own.pop("finalizers", None)
    return bool(after != before)


def index(kind: Kind, document: Document) -> Index:
    """What selectors and the garbage collector look at."""
    meta = document["metadata"]
    owners = tuple(owner["uid"] for owner in meta.get("ownerReferences", ()))
    deleting = bool(meta.get("deletionTimestamp"))
    return Index(meta.get("labels", {}), field_values(kind, document), owners, deleting)


def finalizers(document: Document) -> list[str]:
    """What still holds a deleted object; a Namespace has finalizers in its spec as well."""
    own: list[str] = document["metadata"].get("finalizers", [])
    if document.get("kind") == "Namespace" and document.get("apiVersion") == "v1":
        return own + ((document.get("spec") or {}).get("finalizers") or [])
    return own
