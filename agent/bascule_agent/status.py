"""What the node tells the cluster: one condition per Network, the agent's annotation, its Lease, Events.

Per-node truth lives on the Node object. A Node's conditions belong to many writers and a merge patch replaces the list
whole, so ours are put into the list as just read, and the read's resourceVersion is the precondition of the write.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.node import AGENT_ANNOTATION, network_condition_type
from bascule_kube.cluster import Cluster
from bascule_kube.errors import AlreadyExists, Conflict, NotFound
from bascule_kube.kinds import EVENT, LEASE, NODE

CONDITION_PREFIX = network_condition_type("")[:-8]
LEASE_NAMESPACE = "bascule-system"
LEASE_SECONDS = 5
EVENT_REPEAT_SECONDS = 600.0


def merge_conditions(
    existing: Iterable[Mapping[str, Any]], outcomes: Iterable[NetworkOutcome], now: str
) -> list[dict[str, Any]] | None:
    """The Node's conditions with ours brought up to date; None when nothing has to be written.

    Others' conditions keep their place and content; ours for Networks no longer there go. `now` is RFC 3339 and only
    used where a status turns.
    """
    before = [dict(c) for c in existing]
    ours = {str(c.get("type")): c for c in before if str(c.get("type", "")).startswith(CONDITION_PREFIX)}
    after = [c for c in before if str(c.get("type")) not in ours]
    for outcome in sorted(outcomes):
        kind = network_condition_type(outcome.network)
        status = "True" if outcome.ok else "False"
        old = ours.get(kind, {})
        since = old.get("lastTransitionTime", now) if old.get("status") == status else now
        after.append(
            {
                "type": kind,
                "status": status,
                "reason": outcome.reason,
                "message": outcome.message,
                "lastTransitionTime": since,
                "lastHeartbeatTime": old.get("lastHeartbeatTime", now),
            }
        )

    def by_type(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(conditions, key=lambda c: str(c.get("type")))

    return None if by_type(after) == by_type(before) else after


def annotation(target: str, mode: str, version: str) -> str:
    """The value of the Node's annotation `bascule.dev/agent`: how to reach this agent (no CA on a unix socket)."""
    return json.dumps({"target": target, "caHash": "", "mode": mode, "version": version}, separators=(",", ":"))


def rfc3339(seconds: float, micro: bool = False) -> str:
    """Seconds since the epoch as Kubernetes writes times (MicroTime with `micro`)."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds" if micro else "seconds")
    return text.replace("+00:00", "Z")


class Reporter:
    """Writes to one cluster about one node. Every method raises the cluster's errors; the runtime retries."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._cluster, self._node = cluster, node
        self._told: dict[tuple[str, str], float] = {}
        self._lease_made = False

    async def conditions(self, outcomes: Iterable[NetworkOutcome]) -> bool:
        """Bring the Node's conditions up to date; whether something was written."""
        wanted = list(outcomes)
        for _ in range(5):
            node = await self._cluster.get(NODE, self._node)
            existing = (node.get("status") or {}).get("conditions") or []
            merged = merge_conditions(existing, wanted, rfc3339(time.time()))
            if merged is None:
                return False
            patch = {
                "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
                "status": {"conditions": merged},
            }
            try:
                await self._cluster.merge_patch(NODE, self._node, patch, subresource="status")
            except Conflict:
                continue
            return True
        raise Conflict(f"node {self._node} changed under five writes in a row", 409, "Conflict")

    async def annotate(self, value: str) -> None:
        """Publish how to reach this agent (`annotation`)."""
        await self._cluster.merge_patch(NODE, self._node, {"metadata": {"annotations": {AGENT_ANNOTATION: value}}})

    async def renew(self) -> None:
        """Renew this agent's Lease, made when it is not there: the sign that the agent lives."""
        name = f"agent-{self._node}"
        spec = {
            "holderIdentity": self._node,
            "leaseDurationSeconds": LEASE_SECONDS * 3,
            "renewTime": rfc3339(time.time(), micro=True),
        }
        if not self._lease_made:
            document = LEASE.of(name, LEASE_NAMESPACE) | {"spec": spec}
            try:
                await self._cluster.create(document)
            except AlreadyExists:
                await self._cluster.merge_patch(LEASE, name, {"spec": spec}, LEASE_NAMESPACE)
            self._lease_made = True
            return
        try:
            await self._cluster.merge_patch(LEASE, name, {"spec": spec}, LEASE_NAMESPACE)
        except NotFound:
            self._lease_made = False

    async def event(self, reason: str, message: str, warning: bool = True) -> None:
        """Tell what happened on the Node's Events; the same words at most once in ten minutes."""
        now = time.time()
        if now - self._told.get((reason, message), 0.0) < EVENT_REPEAT_SECONDS:
            return
        self._told = {key: at for key, at in self._told.items() if now - at < EVENT_REPEAT_SECONDS}
        self._told[reason, message] = now
        stamp = rfc3339(now)
        await self._cluster.create(
            EVENT.of(f"{self._node}.{time.time_ns():x}", "default")
            | {
                "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": self._node},
                "type": "Warning" if warning else "Normal",
                "reason": reason,
                "message": message[:1024],
                "source": {"component": "bascule-agent", "host": self._node},
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
            }
        )
