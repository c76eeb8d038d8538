"""The kinds that Kubernetes brings along: their schemas from openapi/builtin.json, with what this API checks beside."""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.kinds import PRESERVE, Kind, Schema
from bascule_lab.apiserver.openapi.definitions import structural

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
RBAC = "rbac.authorization.k8s.io"
_API = "io.k8s.api"
_EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
_CREATE = ("create",)
_INVOLVED = tuple(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion"))
_POD_FIELDS = ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName")


def _kind(definition: str, plural: str, namespaced: bool, *, needs: tuple[str, ...] = (), **more: Any) -> Kind:
    """`definition` as `core.v1.Pod`; the group is read off it."""
    full = definition if definition == _EXTENSIONS else f"{_API}.{definition}"
    package, version, kind = full.rsplit(".", 2)
    name = package.rpartition(".")[2]
    group = "" if name == "core" else f"{name}.k8s.io"
    group = {"rbac.k8s.io": RBAC, "autoscaling.k8s.io": "autoscaling"}.get(group, group)
    schema = {**structural(full), **({"required": list(needs)} if needs else {})}
    return Kind(group, version, plural, kind, namespaced, schema, definition=full, **more)


def _review(definition: str, plural: str) -> Kind:
    return _kind(definition, plural, False, verbs=_CREATE)


def _with(kind: Kind, path: tuple[str, ...], extra: Schema) -> Kind:
    """The kind with more said about one field than the models say."""
    node = kind.root
    for part in path:
        copy = dict(node["properties"][part])
        node["properties"] = {**node["properties"], part: copy}
        node = copy
    node.update(extra)
    return kind


def _lease() -> Kind:
    lease = _kind("coordination.v1.Lease", "leases", True, needs_version=True)
    return _with(lease, ("spec", "leaseDurationSeconds"), {"minimum": 1})


def _crd() -> Kind:
    """Its spec is checked by crds.py; here only what apply needs is typed."""
    crd = _kind(
        _EXTENSIONS,
        "customresourcedefinitions",
        False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        needs=("spec",),
        has_status=True,
        has_generation=True,
        needs_version=True,
    )
    return _with(crd, ("spec",), {PRESERVE: True})


def _rbac(kind: str, plural: str, namespaced: bool) -> Kind:
    return _kind(f"rbac.v1.{kind}", plural, namespaced, free_names=True)


SCALE = _kind("autoscaling.v1.Scale", "scales", True, verbs=())
TOKEN_REQUEST = _kind("authentication.v1.TokenRequest", "tokenrequests", True, verbs=_CREATE)

BUILTIN: tuple[Kind, ...] = (
    _kind("core.v1.Namespace", "namespaces", False, short_names=("ns",), has_status=True, parts=("finalize",),
          fields=("status.phase",)),
    _kind("core.v1.Node", "nodes", False, short_names=("no",), has_status=True, fields=("spec.unschedulable",)),
    _kind("core.v1.Pod", "pods", True, short_names=("po",), categories=("all",), has_status=True,
          fields=(*_POD_FIELDS, "status.phase", "status.podIP")),
    _kind("core.v1.Service", "services", True, short_names=("svc",), categories=("all",), has_status=True,
          fields=("spec.type", "spec.clusterIP")),
    _kind("core.v1.Event", "events", True, short_names=("ev",), needs=("involvedObject",),
          fields=(*_INVOLVED, "reason", "type", "reportingComponent")),
    _kind("core.v1.PersistentVolumeClaim", "persistentvolumeclaims", True, short_names=("pvc",), has_status=True),
    _kind("core.v1.ConfigMap", "configmaps", True, short_names=("cm",)),
    _kind("core.v1.Secret", "secrets", True, fields=("type",)),
    _kind("core.v1.ServiceAccount", "serviceaccounts", True, short_names=("sa",), parts=("token",)),
    _lease(),
    _kind("networking.v1.NetworkPolicy", "networkpolicies", True, short_names=("netpol",), has_generation=True),
    _rbac("Role", "roles", True),
    _rbac("RoleBinding", "rolebindings", True),
    _rbac("ClusterRole", "clusterroles", False),
    _rbac("ClusterRoleBinding", "clusterrolebindings", False),
    _kind("admissionregistration.v1.ValidatingAdmissionPolicy", "validatingadmissionpolicies", False,
          has_status=True, has_generation=True, needs=("spec",)),
    _kind("admissionregistration.v1.ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", False,
          has_generation=True, needs=("spec",)),
    _crd(),
    _review("authentication.v1.TokenReview", "tokenreviews"),
    _review("authentication.v1.SelfSubjectReview", "selfsubjectreviews"),
    _review("authorization.v1.SubjectAccessReview", "subjectaccessreviews"),
    _review("authorization.v1.SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    _review("authorization.v1.SelfSubjectRulesReview", "selfsubjectrulesreviews"),
)  # fmt: skip
