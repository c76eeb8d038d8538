"""The columns of the built-in kinds, after k8s.io/kubernetes pkg/printers/internalversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bascule_lab.apiserver.table.ages import age

Obj = dict[str, Any]
Cell = tuple[str, Callable[[Obj], Any], int]
_NONE = "<none>"
_RBAC = "rbac.authorization.k8s.io"


def _at(document: Obj, *path: str, default: Any = "") -> Any:
    node: Any = document
    for part in path:
        node = node.get(part) if isinstance(node, dict) else None
    return default if node is None else node


def _from(*path: str, default: Any = "") -> Callable[[Obj], Any]:
    return lambda document: _at(document, *path, default=default)


def _count(*words: str) -> Callable[[Obj], Any]:
    return lambda document: sum(len(_at(document, word, default=())) for word in words)


def _age(document: Obj) -> str:
    return age(document["metadata"].get("creationTimestamp"))


def _created(document: Obj) -> str:
    return str(document["metadata"].get("creationTimestamp", ""))


def _node_status(node: Obj) -> str:
    ready = [c for c in _at(node, "status", "conditions", default=()) if c.get("type") == "Ready"]
    words = ["Ready" if ready and ready[0].get("status") == "True" else "NotReady" if ready else "Unknown"]
    return ",".join(words + (["SchedulingDisabled"] if _at(node, "spec", "unschedulable") else []))


def _roles(node: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = _at(node, "metadata", "labels", default={})
    return ",".join(sorted(name.removeprefix(prefix) for name in labels if name.startswith(prefix))) or _NONE


def _address(kind: str) -> Callable[[Obj], str]:
    def cell(node: Obj) -> str:
        found = [a["address"] for a in _at(node, "status", "addresses", default=()) if a.get("type") == kind]
        return found[0] if found else _NONE

    return cell


def _pod_ready(pod: Obj) -> str:
    states = _at(pod, "status", "containerStatuses", default=())
    return f"{sum(bool(s.get('ready')) for s in states)}/{len(_at(pod, 'spec', 'containers', default=()))}"


def _pod_status(pod: Obj) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(_at(pod, "status", "reason") or _at(pod, "status", "phase"))


def _restarts(pod: Obj) -> int:
    return sum(s.get("restartCount", 0) for s in _at(pod, "status", "containerStatuses", default=()))


def _last_seen(event: Obj) -> str:
    stamp = event.get("lastTimestamp") or _at(event, "series", "lastObservedTime", default=None)
    return age(stamp or event.get("eventTime") or event.get("firstTimestamp"))


def _involved(event: Obj) -> str:
    of = event.get("involvedObject") or {}
    return f"{str(of.get('kind', '')).lower()}/{of.get('name', '')}"


def _ports(service: Obj) -> str:
    ports = _at(service, "spec", "ports", default=())
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) or _NONE


def _role_ref(binding: Obj) -> str:
    return f"{_at(binding, 'roleRef', 'kind')}/{_at(binding, 'roleRef', 'name')}"


def _pod_selector(policy: Obj) -> str:
    labels = _at(policy, "spec", "podSelector", "matchLabels", default={})
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items())) or _NONE


def _claim_status(claim: Obj) -> str:
    return "Terminating" if claim["metadata"].get("deletionTimestamp") else str(_at(claim, "status", "phase"))


def _modes(claim: Obj) -> str:
    words = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(words.get(mode, mode) for mode in _at(claim, "status", "accessModes", default=()))


_AGE: Cell = ("Age", _age, 0)
_CREATED: Cell = ("Created At", _created, 0)
BUILTIN_COLUMNS: dict[str, list[Cell]] = {
    "namespaces": [("Status", _from("status", "phase"), 0), _AGE],
    "nodes": [
        ("Status", _node_status, 0),
        ("Roles", _roles, 0),
        _AGE,
        ("Version", _from("status", "nodeInfo", "kubeletVersion"), 0),
        ("Internal-IP", _address("InternalIP"), 1),
    ],
    "pods": [
        ("Ready", _pod_ready, 0),
        ("Status", _pod_status, 0),
        ("Restarts", _restarts, 0),
        _AGE,
        ("IP", _from("status", "podIP", default=_NONE), 1),
        ("Node", _from("spec", "nodeName", default=_NONE), 1),
    ],
    "services": [
        ("Type", _from("spec", "type", default="ClusterIP"), 0),
        ("Cluster-IP", _from("spec", "clusterIP", default=_NONE), 0),
        ("Port(s)", _ports, 0),
        _AGE,
    ],
    "events": [
        ("Last Seen", _last_seen, 0),
        ("Type", _from("type"), 0),
        ("Reason", _from("reason"), 0),
        ("Object", _involved, 0),
        ("Source", _from("source", "component"), 1),
        ("Message", lambda event: str(event.get("message", "")).strip(), 0),
    ],
    "persistentvolumeclaims": [
        ("Status", _claim_status, 0),
        ("Volume", _from("spec", "volumeName"), 0),
        ("Capacity", _from("status", "capacity", "storage"), 0),
        ("Access Modes", _modes, 0),
        ("StorageClass", _from("spec", "storageClassName"), 0),
        _AGE,
        ("VolumeMode", _from("spec", "volumeMode", default="<unset>"), 1),
    ],
    "configmaps": [("Data", _count("data", "binaryData"), 0), _AGE],
    "secrets": [("Type", _from("type"), 0), ("Data", _count("data"), 0), _AGE],
    "serviceaccounts": [("Secrets", _count("secrets"), 0), _AGE],
    "leases.coordination.k8s.io": [("Holder", _from("spec", "holderIdentity"), 0), _AGE],
    "networkpolicies.networking.k8s.io": [("Pod-Selector", _pod_selector, 0), _AGE],
    "customresourcedefinitions.apiextensions.k8s.io": [_CREATED],
    f"roles.{_RBAC}": [_CREATED],
    f"clusterroles.{_RBAC}": [_CREATED],
    f"rolebindings.{_RBAC}": [("Role", _role_ref, 0), _AGE],
    f"clusterrolebindings.{_RBAC}": [("Role", _role_ref, 0), _AGE],
}
