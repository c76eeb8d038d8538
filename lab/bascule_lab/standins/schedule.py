"""The stand-in for kube-scheduler: readiness, nodeSelector, cordon, then spread. Pure.

Spread is by the label `app` first, as a topology spread constraint would have it, so that each application, and with
it each VLAN of the example, is on every node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bascule.errors import BasculeError

Obj = Mapping[str, Any]


class Unschedulable(BasculeError):
    """No node takes the pod."""


def choose(
    pod: Obj, nodes: Iterable[Obj], load: Mapping[str, int], same_app: Mapping[str, int], avoid: str = ""
) -> str:
    """Name of the node for `pod`; `load` counts launcher pods by node and `same_app` those of the same app.

    `avoid` may not be taken (a move's source).

    Raises Unschedulable, naming what every node lacks.
    """
    selector = pod["spec"].get("nodeSelector") or {}
    fits = []
    refused = []
    for node in nodes:
        name = str(node["metadata"]["name"])
        labels = node["metadata"].get("labels") or {}
        missing = [f"{k}={v}" for k, v in selector.items() if labels.get(k) != v]
        if name == avoid:
            refused.append(f"{name}: it is the source")
        elif missing:
            refused.append(f"{name}: lacks {', '.join(missing)}")
        elif not _ready(node):
            refused.append(f"{name}: not ready")
        elif node["spec"].get("unschedulable"):
            refused.append(f"{name}: cordoned")
        else:
            fits.append((same_app.get(name, 0), load.get(name, 0), name))
    if not fits:
        raise Unschedulable(f"0/{len(refused)} nodes are available", cause="; ".join(refused) or "no nodes")
    return min(fits)[2]


def _ready(node: Obj) -> bool:
    """A node that says nothing of its readiness counts as ready, as one does that has just been made."""
    conditions = (node.get("status") or {}).get("conditions") or []
    return all(c["status"] == "True" for c in conditions if c["type"] == "Ready")
