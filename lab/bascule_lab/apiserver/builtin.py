"""The kinds that Kubernetes brings along, with just enough schema to refuse nonsense and to merge lists by key.

Their specs are open (x-kubernetes-preserve-unknown-fields): the lab does not know every field of a Pod, so it can name
unknown fields only in custom resources and in metadata.
"""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.kinds import PRESERVE, Kind, Schema

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_STRINGS: Schema = {"type": "object", "nullable": True, "additionalProperties": {"type": "string"}}
_STRING: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "nullable": True, "format": "date-time"}
_COUNT: Schema = {"type": "integer", "nullable": True}


def _open(**properties: Schema) -> Schema:
    return {"type": "object", "nullable": True, PRESERVE: True, "properties": properties}


def _keyed(*keys: str) -> Schema:
    """A list merged by these keys, as the real schema says (x-kubernetes-list-type: map)."""
    items: dict[str, Any] = {"type": "object", PRESERVE: True, "required": list(keys)}
    items["properties"] = {key: _STRING for key in keys}
    return {
        "type": "array",
        "nullable": True,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "items": items,
    }


def _root(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


_STATUS = _open(conditions=_keyed("type"))
_NODE = _root(spec=_open(), status=_open(conditions=_keyed("type"), addresses={"type": "array", "nullable": True}))
_POD = _root(
    spec=_open(nodeName=_STRING, nodeSelector=_STRINGS, containers=_keyed("name"), volumes=_keyed("name")),
    status=_open(conditions=_keyed("type"), phase=_STRING),
)
_REFERENCE = _open(**{name: _STRING for name in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")})
_EVENT: Schema = {
    **_root(
        involvedObject=_REFERENCE,
        firstTimestamp=_TIME,
        lastTimestamp=_TIME,
        eventTime=_TIME,
        count=_COUNT,
        source=_open(),
        series=_open(),
        related=_open(),
        **{n: _STRING for n in ("reason", "message", "type", "action", "reportingComponent", "reportingInstance")},
    ),
    "required": ["involvedObject"],
}
_INVOLVED = tuple(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion"))
_LEASE = _root(
    spec=_open(
        holderIdentity={**_STRING, "nullable": True},
        leaseDurationSeconds={"type": "integer", "minimum": 1, "nullable": True},
        renewTime=_TIME,
        acquireTime=_TIME,
        leaseTransitions=_COUNT,
    )
)
_SWITCH: Schema = {"type": "boolean", "nullable": True}
_CONFIG_MAP = _root(data=_STRINGS, binaryData=_STRINGS, immutable=_SWITCH)
_SECRET = _root(data=_STRINGS, stringData=_STRINGS, type=_STRING, immutable=_SWITCH)
_LIST: Schema = {"type": "array", "nullable": True, "items": _open()}
_ACCOUNT = _root(secrets=_LIST, imagePullSecrets=_LIST, automountServiceAccountToken=_SWITCH)
_REVIEW = _root(spec=_open(), status=_open())
_CREATE = ("create",)

BUILTIN: tuple[Kind, ...] = (
    Kind("", "v1", "namespaces", "Namespace", False, _root(spec=_open(), status=_STATUS), ("ns",), has_status=True),
    Kind("", "v1", "nodes", "Node", False, _NODE, ("no",), has_status=True),
    Kind("", "v1", "pods", "Pod", True, _POD, ("po",), ("all",), has_status=True,
         fields=("spec.nodeName", "status.phase")),
    Kind("", "v1", "events", "Event", True, _EVENT, ("ev",), fields=(*_INVOLVED, "reason", "type")),
    Kind("", "v1", "configmaps", "ConfigMap", True, _CONFIG_MAP, ("cm",)),
    Kind("", "v1", "secrets", "Secret", True, _SECRET, fields=("type",)),
    Kind("", "v1", "serviceaccounts", "ServiceAccount", True, _ACCOUNT, ("sa",)),
    Kind("coordination.k8s.io", "v1", "leases", "Lease", True, _LEASE, needs_version=True),
    Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False,
         {**_root(spec=_open(), status=_STATUS), "required": ["spec"]}, ("crd", "crds"), ("api-extensions",),
         has_status=True, has_generation=True, needs_version=True),
    Kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False, _REVIEW, verbs=_CREATE),
    Kind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False, _REVIEW, verbs=_CREATE),
    Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False, _REVIEW,
         verbs=_CREATE),
)  # fmt: skip
