"""Discovery in both forms (lists per group, and aggregated), and the version document."""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.kinds import Kind, Registry

VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+bascule-lab",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-11-23T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
_PART_VERBS = {"token": ["create"], "finalize": ["update"]}
_STATUS_VERBS = ["get", "patch", "update"]
_PART_KINDS = {
    "scale": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
    "token": {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def core_versions() -> dict[str, Any]:
    """GET /api."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(registry: Registry) -> dict[str, Any]:
    """GET /apis."""
    names = dict.fromkeys(kind.group for kind in registry if kind.group)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(registry, name) for name in names]}


def one_group(registry: Registry, group: str) -> dict[str, Any] | None:
    """GET /apis/{group}; None when there is no such group."""
    if not group or all(kind.group != group for kind in registry):
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(registry, group)}


def resources(registry: Registry, group: str, version: str) -> dict[str, Any] | None:
    """GET /api/v1 and /apis/{group}/{version}; groupVersion of the core group is exactly "v1"."""
    kinds = [kind for kind in registry if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    entries: list[dict[str, Any]] = []
    for kind in kinds:
        entries.append(_resource(kind))
        for part in kind.subresources:
            bare = {**_bare(kind, f"{kind.plural}/{part}"), **_PART_KINDS.get(part, {})}
            entries.append({**bare, "singularName": "", "verbs": _PART_VERBS.get(part, _STATUS_VERBS)})
    name = kinds[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def aggregated(registry: Registry, core: bool) -> dict[str, Any]:
    """GET /api and /apis in the aggregated form (apidiscovery.k8s.io/v2): every resource in one answer."""
    items = []
    for group in dict.fromkeys(kind.group for kind in registry if core == (not kind.group)):
        versions: dict[str, list[dict[str, Any]]] = {}
        for kind in registry:
            if kind.group == group:
                versions.setdefault(kind.version, []).append(_aggregated(kind))
        listed = [{"version": name, "resources": found, "freshness": "Current"} for name, found in versions.items()]
        items.append({"metadata": {"name": group, "creationTimestamp": None}, "versions": listed})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated(kind: Kind) -> dict[str, Any]:
    own = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    parts = [
        {
            "subresource": part,
            "responseKind": _PART_KINDS.get(part, own),
            "verbs": _PART_VERBS.get(part, _STATUS_VERBS),
        }
        for part in kind.subresources
    ]
    return {
        "resource": kind.plural,
        "responseKind": own,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular or kind.kind.lower(),
        "verbs": list(kind.verbs),
        **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
        **({"categories": list(kind.categories)} if kind.categories else {}),
        **({"subresources": parts} if parts else {}),
    }


def _group(registry: Registry, group: str) -> dict[str, Any]:
    versions = dict.fromkeys(kind.version for kind in registry if kind.group == group)
    entries = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": entries, "preferredVersion": entries[0]}


def _bare(kind: Kind, name: str) -> dict[str, Any]:
    return {"name": name, "namespaced": kind.namespaced, "kind": kind.kind}


def _resource(kind: Kind) -> dict[str, Any]:
    entry = {**_bare(kind, kind.plural), "singularName": kind.singular or kind.kind.lower(), "verbs": list(kind.verbs)}
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    return entry
