"""The stand-in for kube-scheduler: nodeSelector, readiness, then the node with the fewest launcher pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bascule.errors import BasculeError

Obj = Mapping[str, Any]


class Unschedulable(BasculeError):
    """No node takes the pod."""


def choose(pod: Obj, nodes: Iterable[Obj], load: Mapping[str, int], avoid: str = "") -> str:
    """Name of the node for `pod`; `load` counts launcher pods by node, `avoid` may not be taken (a move's source).

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
        elif node["spec"].get("unschedulable"):
            refused.append(f"{name}: cordoned")
        else:
            fits.append((load.get(name, 0), name))
    if not fits:
        raise Unschedulable(f"0/{len(refused)} nodes are available", cause="; ".join(refused) or "no nodes")
    return min(fits)[1]
