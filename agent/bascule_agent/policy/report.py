"""What `Policies` answers (contracts.md section 7). Blocking; belongs to the enforcer's thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.layout import RuleName
from bascule.resources.policy import EGRESS, INGRESS
from bascule_agent.policy.enforce import Enforcer, Nic
from bascule_agent.policy.hits import LOGGED, STAGED_ALLOW, STAGED_DENY, Hits
from bascule_agent.status import rfc3339

PENDING = {STAGED_ALLOW: "allow", STAGED_DENY: "deny"}
Counted = Mapping[tuple[Key, int, int], Hits]


def nic_report(
    enforcer: Enforcer, key: Key, ifindex: int, hits: Mapping[int, Hits], counted: Counted
) -> dict[str, Any]:
    """One NIC. `state`: in force, refused (keeps what it had) or waiting (has nothing yet, its port is down)."""
    nic = enforcer.nics.get(key)
    endpoint = enforcer.enforced.blocks.endpoints.get(key)
    reason = nic.reason if nic else enforcer.enforced.refused.get(key, "")
    state = "refused" if reason else "in force" if nic else "waiting"
    own = [(kind, rule, found) for (nic_key, kind, rule), found in counted.items() if nic_key == key]
    return {
        **_who(key, endpoint),
        "ifindex": ifindex,
        "state": state,
        "reason": reason,
        "applied": nic.generation if nic else 0,
        "since": rfc3339(nic.since) if nic and nic.since else "",
        "rows": _rows(nic),
        "staged": bool(nic and nic.program and nic.program.staged),
        "policies": list(_policies(enforcer, key)),
        "rules": [_rule(enforcer, rule, hits.get(rule, Hits())) for rule in _rules(enforcer, key, nic, hits)],
        "pending": [
            {**_counted(enforcer, rule, found), "action": PENDING[kind]} for kind, rule, found in own if kind in PENDING
        ],
        "logged": [_counted(enforcer, rule, found) for kind, rule, found in own if kind == LOGGED],
    }


def refusals(enforcer: Enforcer) -> list[dict[str, Any]]:
    """Documents that are not used, and the NICs here that this holds back."""
    blocks = enforcer.enforced.blocks
    held: dict[str, list[str]] = {}
    for key in enforcer.enforced.refused:
        endpoint = blocks.endpoints.get(key)
        refused = blocks.refused(key)
        for each in enforcer.policies.refused:
            if endpoint is not None and each.policy is not None and each.policy.identity in refused:
                held.setdefault(each.ref, []).append(endpoint.name)
    return [
        {"object": each.ref, "reason": each.reason, "nics": sorted(held.get(each.ref, []))}
        for each in enforcer.policies.refused
    ]


def _who(key: Key, endpoint: Endpoint | None) -> dict[str, Any]:
    return {
        "namespace": key[0],
        "vm": endpoint.vm if endpoint else "",
        "nic": endpoint.nic if endpoint else "",
        "pod": key[1],
        "interface": key[2],
        "network": endpoint.network if endpoint else "",
        "vlan": endpoint.vlan if endpoint else 0,
    }


def _rows(nic: Nic | None) -> dict[str, int]:
    if nic is None or nic.program is None:
        return {"ingress": 0, "egress": 0}
    return {"ingress": len(nic.program.enforced.ingress), "egress": len(nic.program.enforced.egress)}


def _policies(enforcer: Enforcer, key: Key) -> Iterator[str]:
    """Those that apply, in the order in which they are evaluated."""
    blocks = enforcer.enforced.blocks
    if key not in blocks.endpoints:
        return
    told: set[str] = set()
    for direction in (INGRESS, EGRESS):
        for _, policies in blocks.ordered(blocks.selected(key), direction):
            for policy in policies:
                if policy.ref not in told:
                    told.add(policy.ref)
                    yield policy.ref


def _rules(enforcer: Enforcer, key: Key, nic: Nic | None, hits: Mapping[int, Hits]) -> Iterable[int]:
    """Rule ids in order: of the program in force, with those that no packet can match; then those hit before it."""
    blocks = enforcer.enforced.blocks
    found: dict[int, None] = {}
    if key in blocks.endpoints:
        for direction in (INGRESS, EGRESS):
            for _, policies in blocks.ordered(blocks.selected(key), direction):
                for policy in policies:
                    for name in blocks.blocks[policy.identity, direction].names:
                        found[enforcer.rules.of(name)] = None
    if nic is not None and nic.program is not None:
        for rows in (nic.program.enforced.ingress, nic.program.enforced.egress):
            found.update(dict.fromkeys(rows["rule"].tolist()))
    found.update(dict.fromkeys(hits))
    return found


def _rule(enforcer: Enforcer, identity: int, hits: Hits) -> dict[str, Any]:
    last = rfc3339(hits.last_ns / 1e9) if hits.last_ns else None
    name = enforcer.rules.name(identity)
    return {"id": identity, **_named(name), "packets": hits.packets, "bytes": hits.bytes, "last": last}


def _named(name: RuleName | None) -> dict[str, Any]:
    if name is None:
        return {"rule": "a rule of an earlier agent"}
    return {"rule": name.text, **asdict(name)}


def _counted(enforcer: Enforcer, identity: int, hits: Hits) -> dict[str, Any]:
    name = enforcer.rules.name(identity)
    return {"id": identity, **_named(name), "packets": hits.packets, "bytes": hits.bytes}
