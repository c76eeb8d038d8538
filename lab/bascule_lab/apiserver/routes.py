"""URL paths to what they mean; no object is looked up here."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

_NAMESPACE_PARTS = ("status", "finalize")
HEALTH = ("/healthz", "/livez", "/readyz")


@dataclass(frozen=True)
class Target:
    """What a path names. `resource` "" is a discovery document of `group`/`version` ("" for the lists above)."""

    group: str
    version: str
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def split_url(raw: str) -> tuple[str, dict[str, str]]:
    """Path (still encoded) and query; of repeated parameters the first counts, as in Go."""
    path, _, query = raw.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=None)
    return path, dict(reversed(pairs))


def parse_path(path: str) -> Target | None:
    """`/api/v1/…` or `/apis/{group}/{version}/…`; None for every other path."""
    parts = [unquote(part, errors="replace") for part in path.strip("/").split("/")]
    if parts[0] not in ("api", "apis") or "" in parts:
        return None
    depth = 1 if parts[0] == "api" else 2
    group = "".join(parts[1:depth])
    version, parts = "".join(parts[depth : depth + 1]), parts[depth + 1 :]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces" and parts[2] not in _NAMESPACE_PARTS:
        namespace, parts = parts[1], parts[2:]
    if len(parts) > 3:
        return None
    resource, name, subresource = (*parts, "", "", "")[:3]
    return Target(group, version, resource, namespace, name, subresource)
