"""Node facts for lists and dialogs: name, readiness, and where the node's agent is. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AGENT_ANNOTATION = "bascule.dev/agent"


@dataclass(frozen=True, slots=True)
class AgentTarget:
    """Where a node's agent listens, as its Node object publishes it (contracts.md section 3)."""

    node: str
    target: str
    ca_hash: str = ""
    mode: str = ""
    version: str = ""


def node_name(node: Mapping[str, Any]) -> str:
    """The Node's name."""
    return str((node.get("metadata") or {}).get("name", ""))


def hostname(node: Mapping[str, Any]) -> str:
    """The label a migration selects a target by; the name where the label is absent."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    return str(labels.get("kubernetes.io/hostname", "") or node_name(node))


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether the Node's Ready condition is True."""
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def is_cordoned(node: Mapping[str, Any]) -> bool:
    """Whether the Node takes no new pods."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def agent_target(node: Mapping[str, Any]) -> AgentTarget | None:
    """What the Node's annotation publishes; None when there is none or it is not JSON with a target."""
    annotations = (node.get("metadata") or {}).get("annotations") or {}
    try:
        published = json.loads(annotations.get(AGENT_ANNOTATION, ""))
    except ValueError:
        return None
    if not isinstance(published, dict) or not published.get("target"):
        return None
    return AgentTarget(
        node=node_name(node),
        target=str(published["target"]),
        ca_hash=str(published.get("caHash", "")),
        mode=str(published.get("mode", "")),
        version=str(published.get("version", "")),
    )


def network_conditions(node: Mapping[str, Any]) -> list[dict[str, str]]:
    """The Node's conditions per Network: `type status reason message`."""
    conditions = (node.get("status") or {}).get("conditions") or []
    return [
        {k: str(c.get(k, "")) for k in ("type", "status", "reason", "message")}
        for c in conditions
        if str(c.get("type", "")).startswith("BasculeNetwork-")
    ]
