"""DELETE requests: options from query and body, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bascule_lab.apiserver import meta
from bascule_lab.apiserver.body import decode, encode
from bascule_lab.apiserver.kinds import Kind, Schema
from bascule_lab.apiserver.listing import list_body
from bascule_lab.apiserver.options import dry_run_of
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.schema import validate
from bascule_lab.apiserver.status import invalid, unsupported
from bascule_lab.apiserver.store import Record

_POLICIES = ["Foreground", "Background", "Orphan"]
_TEXT: Schema = {"type": "string", "nullable": True}
_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "dryRun": {"type": "array", "nullable": True, "items": {"type": "string"}},
        "propagationPolicy": _TEXT,
        "orphanDependents": {"type": "boolean", "nullable": True},
        "gracePeriodSeconds": {"type": "integer", "nullable": True},
        "preconditions": {
            "type": "object",
            "nullable": True,
            "properties": {"uid": _TEXT, "resourceVersion": _TEXT},
        },
    },
}


@dataclass(frozen=True)
class DeleteOptions:
    """A dry run, what becomes of dependents ("" is Background), and the uid and version that the object must have."""

    dry_run: bool = False
    policy: str = ""
    uid: str = ""
    version: str = ""

    def check(self, kind: Kind, record: Record) -> None:
        """409 when the stored object is another."""
        meta.precondition(kind, record.key[2], record, self.uid, self.version)


def delete_options(query: Mapping[str, str], body: bytes) -> DeleteOptions:
    """gracePeriodSeconds means nothing here and is accepted: nothing in the lab takes time to stop for the API."""
    given = decode(body) if body.strip() else {}
    errors = validate(_SCHEMA, given)
    policy = given.get("propagationPolicy") or query.get("propagationPolicy") or ""
    if not errors and given.get("orphanDependents") is not None:
        policy = policy or ("Orphan" if given["orphanDependents"] else "Background")
    if not errors and policy not in ("", *_POLICIES):
        errors = [unsupported("propagationPolicy", policy, _POLICIES)]
    if errors:
        raise invalid("meta.k8s.io", "DeleteOptions", "", errors)
    dry_runs = given.get("dryRun") or [query.get("dryRun", "")]
    wanted = given.get("preconditions") or {}
    return DeleteOptions(
        dry_run=any([dry_run_of(value, "DeleteOptions") for value in dry_runs]),
        policy=policy,
        uid=wanted.get("uid") or "",
        version=wanted.get("resourceVersion") or "",
    )


def delete_status(kind: Kind, record: Record) -> bytes:
    """The Status of an object that is gone."""
    details = {"name": record.key[2], "group": kind.group, "kind": kind.plural, "uid": record.uid}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return encode(status)


def delete_collection(
    pipeline: Pipeline, kind: Kind, records: Sequence[Record], options: DeleteOptions, version: int
) -> bytes:
    """Delete each; the answer lists them as they were."""
    for record in records:
        options.check(kind, record)
        pipeline.delete(kind, record, options.dry_run, options.policy)
    return list_body(kind, {"resourceVersion": str(version)}, records)
