"""The documents that describe the API, discovery and OpenAPI v3: made once per set of kinds and kept encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bascule_lab.apiserver import discovery
from bascule_lab.apiserver.body import encode
from bascule_lab.apiserver.kinds import Registry
from bascule_lab.apiserver.negotiate import wants_aggregated
from bascule_lab.apiserver.openapi import document as openapi
from bascule_lab.apiserver.routes import Target

_OPENAPI = "/openapi/v3"


class Documents:
    """Answers GETs of paths that name no resource; `forget` after the kinds have changed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kept: dict[str, bytes] = {}

    def forget(self) -> None:
        self._kept.clear()

    def find(self, path: str, target: Target | None, accept: str) -> tuple[bytes, str] | None:
        """Body and content type, or None for a path that names nothing."""
        aggregated = wants_aggregated(accept) and path.strip("/") in ("api", "apis")
        key = f"{path.rstrip('/')} {aggregated}"
        if key not in self._kept:
            document = self._make(path.rstrip("/"), target, aggregated)
            if document is None:
                return None
            self._kept[key] = encode(document)
        return self._kept[key], discovery.AGGREGATED if aggregated else "application/json"

    def _make(self, path: str, target: Target | None, aggregated: bool) -> dict[str, Any] | None:
        if path == _OPENAPI:
            return openapi.index(self._registry)
        if path.startswith(f"{_OPENAPI}/"):
            return self._openapi(path.removeprefix(f"{_OPENAPI}/").split("/"))
        if target is None:
            return None
        if aggregated:
            return discovery.aggregated(self._registry, core=path == "/api")
        if target.version:
            return discovery.resources(self._registry, target.group, target.version)
        if target.group:
            return discovery.one_group(self._registry, target.group)
        lists: dict[str, Callable[[], dict[str, Any]]] = {
            "/api": discovery.core_versions,
            "/apis": lambda: discovery.groups(self._registry),
        }
        return lists[path]() if path in lists else None

    def _openapi(self, parts: list[str]) -> dict[str, Any] | None:
        if parts[0] == "api" and len(parts) == 2:
            return openapi.document(self._registry, "", parts[1])
        if parts[0] == "apis" and len(parts) == 3:
            return openapi.document(self._registry, parts[1], parts[2])
        return None
