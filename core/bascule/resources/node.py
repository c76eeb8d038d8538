"""A Node: labels, addresses, conditions, and where its agent listens (contracts.md section 3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.meta import Condition, Meta, condition, conditions_of
from bascule.resources.read import dig, items, text

AGENT_ANNOTATION = "bascule.dev/agent"
_NETWORK_CONDITION = "BasculeNetwork-"


@dataclass(frozen=True, slots=True)
class AgentAddress:
    """`target` is a gRPC target; `ca_hash` is "" on unix sockets; `mode` is observe or manage."""

    target: str
    ca_hash: str
    mode: str
    version: str


@dataclass(frozen=True, slots=True)
class Node:
    """`agent` is None when there is no annotation or it does not parse; `addresses` are (type, address)."""

    meta: Meta
    agent: AgentAddress | None
    conditions: tuple[Condition, ...]
    addresses: tuple[tuple[str, str], ...]
    unschedulable: bool

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Node:
        meta = Meta.of(document)
        return cls(
            meta=meta,
            agent=_agent(meta.annotations.get(AGENT_ANNOTATION, "")),
            conditions=conditions_of(document),
            addresses=tuple(
                (text(dig(entry, "type")), text(dig(entry, "address")))
                for entry in items(dig(document, "status", "addresses"))
            ),
            unschedulable=dig(document, "spec", "unschedulable") is True,
        )

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def ready(self) -> bool:
        found = condition(self.conditions, "Ready")
        return found is not None and found.status == "True"

    @property
    def internal_ip(self) -> str:
        return next((address for kind, address in self.addresses if kind == "InternalIP"), "")

    def network_condition(self, network: str) -> Condition | None:
        """What this node's agent says about one Network."""
        return condition(self.conditions, network_condition_type(network))

    @property
    def network_conditions(self) -> tuple[Condition, ...]:
        return tuple(entry for entry in self.conditions if entry.type.startswith(_NETWORK_CONDITION))


def network_condition_type(network: str) -> str:
    """The Node condition type of one Network: `BasculeNetwork-` and 8 hex of sha256(name) (DESIGN section 4)."""
    return _NETWORK_CONDITION + hashlib.sha256(network.encode(errors="surrogatepass")).hexdigest()[:8]


def _agent(annotation: str) -> AgentAddress | None:
    try:
        value = json.loads(annotation)
    except (ValueError, RecursionError):
        return None
    target = text(dig(value, "target"))
    if not target:
        return None
    return AgentAddress(target, text(dig(value, "caHash")), text(dig(value, "mode")), text(dig(value, "version")))
