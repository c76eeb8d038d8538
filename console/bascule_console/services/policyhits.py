"""What agents say about the policy in force at their NICs, folded over nodes and NICs. Pure.

One rule is loaded at many NICs; its packets are the sum. Packets at the end of a tier are kept under the policy because
of which the end counts, with the rule index -1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bascule.policy.verdict import END_OF_TIER
from bascule.resources.read import integer, items, mapping, text
from bascule_console.store.policybook import Hits, RuleKey

IN_FORCE = "in force"


def fold(reports: Mapping[str, Mapping[str, Any]]) -> Hits:
    """The `Policies` documents of agents, by node."""
    packets: Counter[RuleKey] = Counter()
    refused: dict[str, str] = {}
    for report in reports.values():
        for nic in map(mapping, items(report.get("nics"))):
            packets.update(_counted(map(mapping, items(nic.get("rules")))))
            name = "/".join(text(nic.get(part)) for part in ("namespace", "vm", "nic"))
            if text(nic.get("state")) not in (IN_FORCE, ""):
                refused[name] = text(nic.get("reason")) or text(nic.get("state"))
    return Hits(dict(packets), tuple(sorted(reports)), refused)


def _counted(rules: Iterable[Mapping[str, Any]]) -> Counter[RuleKey]:
    found: Counter[RuleKey] = Counter()
    for rule in rules:
        kind, namespace, name = (text(rule.get(part)) for part in ("kind", "namespace", "name"))
        index = integer(rule.get("rule_index"))
        if kind == END_OF_TIER:
            kind, namespace, name = _named(text(rule.get("field")))
        found[kind, namespace, name, text(rule.get("direction")), -1 if index is None else index] += (
            integer(rule.get("packets")) or 0
        )
    return found


def _named(ref: str) -> tuple[str, str, str]:
    """(kind, namespace, name) of a policy's ref."""
    parts = ref.split("/")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (parts[0], "", parts[-1])
