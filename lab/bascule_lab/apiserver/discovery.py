"""Discovery (v1 form), version and health documents."""

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
_STATUS_VERBS = ["get", "patch", "update"]


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
        if kind.has_status:
            entries.append({**_bare(kind, f"{kind.plural}/status"), "singularName": "", "verbs": _STATUS_VERBS})
    name = kinds[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


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
