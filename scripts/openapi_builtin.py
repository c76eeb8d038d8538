"""Writes lab/bascule_lab/apiserver/openapi/builtin.json: schemas of the built-in kinds, from the `kubernetes` package.

The models know names, types, required fields and descriptions; what Go keeps in struct tags and they do not (merge
keys, list and map types, defaults) stands in the tables here, after k8s.io/api. Run by hand when the package is
upgraded: `.venv/bin/python scripts/openapi_builtin.py`; the lab itself never imports the package for this.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kubernetes.client import models

OUT = Path(__file__).resolve().parents[1] / "lab" / "bascule_lab" / "apiserver" / "openapi" / "builtin.json"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
APIEXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
ROOTS = {
    META: ["V1ListMeta", "V1ObjectMeta"],
    "io.k8s.api.core.v1": ["V1Namespace", "V1Node", "V1Pod", "CoreV1Event", "V1ConfigMap", "V1Secret"]
    + ["V1ServiceAccount", "V1Service", "V1PersistentVolumeClaim"],
    "io.k8s.api.coordination.v1": ["V1Lease"],
    "io.k8s.api.networking.v1": ["V1NetworkPolicy"],
    "io.k8s.api.rbac.v1": ["V1Role", "V1RoleBinding", "V1ClusterRole", "V1ClusterRoleBinding"],
    "io.k8s.api.authentication.v1": ["V1TokenReview", "V1SelfSubjectReview", "AuthenticationV1TokenRequest"],
    "io.k8s.api.authorization.v1": ["V1SubjectAccessReview", "V1SelfSubjectAccessReview", "V1SelfSubjectRulesReview"],
    "io.k8s.api.autoscaling.v1": ["V1Scale"],
    "io.k8s.api.admissionregistration.v1": ["V1ValidatingAdmissionPolicy", "V1ValidatingAdmissionPolicyBinding"],
    APIEXTENSIONS: ["V1CustomResourceDefinition"],
}
META_MODELS = {"ObjectMeta", "ListMeta", "OwnerReference", "ManagedFieldsEntry", "LabelSelector", "Condition"}
META_MODELS |= {"LabelSelectorRequirement", "MicroTime", "Time"}
PRIMITIVES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "bytearray": {"type": "string", "format": "byte"},
    "bytes": {"type": "string", "format": "byte"},
    "object": {"x-kubernetes-preserve-unknown-fields": True},
}
INT_OR_STRING = {"x-kubernetes-int-or-string": True}
INT_OR_STRINGS = {"HTTPGetAction.port", "TCPSocketAction.port", "NetworkPolicyPort.port", "ServicePort.targetPort"}
QUANTITIES = {"limits", "requests", "capacity", "allocatable", "overhead", "used", "hard", "allocatedResources"}
DEFAULTS = {"ContainerPort.protocol": "TCP", "ServicePort.protocol": "TCP"}
BY_KEYS = {
    **{f"{kind}.env": ["name"] for kind in ("Container", "EphemeralContainer")},
    **{f"{kind}.ports": ["containerPort", "protocol"] for kind in ("Container", "EphemeralContainer")},
    **{f"{kind}.volumeMounts": ["mountPath"] for kind in ("Container", "EphemeralContainer")},
    **{f"{kind}.volumeDevices": ["devicePath"] for kind in ("Container", "EphemeralContainer")},
    **{f"PodSpec.{name}": ["name"] for name in ("containers", "initContainers", "ephemeralContainers", "volumes")},
    **{f"PodSpec.{name}": ["name"] for name in ("imagePullSecrets", "schedulingGates", "resourceClaims")},
    "PodSpec.hostAliases": ["ip"],
    "PodSpec.topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
    "PodStatus.podIPs": ["ip"],
    "NodeStatus.addresses": ["type"],
    "ServiceSpec.ports": ["port", "protocol"],
    "ServiceAccount.secrets": ["name"],
    "ObjectMeta.ownerReferences": ["uid"],
    **{
        f"{kind}Status.conditions": ["type"]
        for kind in ("Pod", "Node", "Namespace", "Service", "PersistentVolumeClaim")
    },
    "CustomResourceDefinitionStatus.conditions": ["type"],
    "ValidatingAdmissionPolicySpec.variables": ["name"],
    "ValidatingAdmissionPolicySpec.matchConditions": ["name"],
}
NOT_STRATEGIC = {"CustomResourceDefinitionStatus.conditions"}
RETAIN_KEYS = {"PodSpec.volumes", "PodSpec.resourceClaims"}
SETS = {"ObjectMeta.finalizers", "NodeSpec.podCIDRs"}
ATOMIC_MAPS = {"LabelSelector", "ObjectReference", "LocalObjectReference", "SecretKeySelector", "ConfigMapKeySelector"}
ATOMIC_MAPS |= {"NodeSelector", "NodeSelectorTerm", "OwnerReference", "RoleRef", "Subject", "ResourceFieldSelector"}
ATOMIC_MAPS |= {"ObjectFieldSelector", "SecretReference", "TypedLocalObjectReference", "ScopeSelector"}


def bare(model: str) -> str:
    """`V1PodSpec` → `PodSpec`, `CoreV1Event` → `Event`."""
    return re.sub(r"^[A-Za-z]*?V1(?=[A-Z])", "", model)


class Collector:
    """Definitions of everything reachable from the roots."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def add(self, model: str, package: str) -> str:
        name = bare(model)
        full = f"{META if name in META_MODELS else package}.{name}"
        if full not in self.definitions:
            self.definitions[full] = {}
            self.definitions[full] = self._model(getattr(models, model), name, package)
        return full

    def _model(self, model: Any, name: str, package: str) -> dict[str, Any]:
        text = (model.__doc__ or "").strip().split("\n")[0]
        schema: dict[str, Any] = {"description": text, "type": "object"}
        needed, properties = [], {}
        fields = {field.serialization_alias or name: field for name, field in model.model_fields.items()}
        for attribute, kind in sorted(model.openapi_types.items()):
            word = model.attribute_map[attribute]
            field = fields[word]
            below = self._type(kind, package, f"{name}.{word}")
            if field.description:
                below["description"] = field.description
            if field.is_required():
                needed.append(word)
            properties[word] = below
        schema["properties"] = properties
        if needed:
            schema["required"] = needed
        if name in ATOMIC_MAPS:
            schema["x-kubernetes-map-type"] = "atomic"
        return schema

    def _type(self, kind: str, package: str, where: str) -> dict[str, Any]:
        if where in INT_OR_STRINGS:
            return dict(INT_OR_STRING)
        if match := re.fullmatch(r"List\[(.+)\]", kind):
            return {"type": "array", "items": self._type(match[1], package, where + "[]"), **merging(where)}
        if match := re.fullmatch(r"Dict\[str, (.+)\]", kind):
            if where.rpartition(".")[2] in QUANTITIES:  # Go takes numbers and texts for a Quantity
                return {"type": "object", "additionalProperties": dict(PRIMITIVES["object"])}
            return {"type": "object", "additionalProperties": self._type(match[1], package, where + "[]")}
        if kind in PRIMITIVES:
            default = {"default": DEFAULTS[where]} if where in DEFAULTS else {}
            return {**PRIMITIVES[kind], **default}
        return {"allOf": [{"$ref": f"#/components/schemas/{self.add(kind, package)}"}]}


def merging(where: str) -> dict[str, Any]:
    """How a list merges, for apply and for strategic patches."""
    if where in BY_KEYS:
        found: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": BY_KEYS[where]}
        if where not in NOT_STRATEGIC:
            found["x-kubernetes-patch-merge-key"] = BY_KEYS[where][0]
            found["x-kubernetes-patch-strategy"] = "merge,retainKeys" if where in RETAIN_KEYS else "merge"
        return found
    if where in SETS:
        return {"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}
    return {"x-kubernetes-list-type": "atomic"}


def generate() -> str:
    """The whole file."""
    collector = Collector()
    for package, names in ROOTS.items():
        for name in names:
            collector.add(name, package)
    return json.dumps(collector.definitions, indent=0, sort_keys=True) + "\n"


def main() -> None:
    OUT.write_text(generate())
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
