"""A verdict's path in steps that people read: also the policies that were asked and had nothing to say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bascule.policy.flow import Flow
from bascule.policy.verdict import END_OF_TIER, PROFILE, Connection, Hit, Judge, Verdict

NO_MATCH = "no match"


@dataclass(frozen=True, slots=True)
class Step:
    """`side` is source or destination; `action` is a rule's, or "no match"; `rule` is -1 where no rule is meant."""

    side: str
    endpoint: str
    direction: str
    tier: str
    policy: str
    action: str
    rule: int
    field: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def explain(judge: Judge, connection: Connection) -> list[Step]:
    """Every step on both sides, in the order in which they are taken; none for a side that is no endpoint."""
    return [
        step
        for side, verdict in (("source", connection.source), ("destination", connection.destination))
        if verdict is not None
        for step in _steps(judge, side, verdict)
    ]


def pending(judge: Judge, flow: Flow) -> str:
    """What the staged policies would make of a flow: allow, deny or unknown."""
    staged = Judge(judge.policies.with_staged(), judge.peers.endpoints.values())
    return staged.connection(flow).action


def _steps(judge: Judge, side: str, verdict: Verdict) -> Iterator[Step]:
    left = list(verdict.path)
    for each in judge.applicable(verdict.endpoint, verdict.direction):
        tier = each.tier.name
        if not left or left[0].tier != tier:
            return
        for policy in each.policies:
            mine = [hit for hit in left if (hit.kind, hit.namespace, hit.name) == policy.identity]
            if not mine:
                yield _step(side, verdict, tier, policy.ref, NO_MATCH, -1, "", f"{policy.ref}: no rule matches")
            for hit in mine:
                left.remove(hit)
                yield _of(side, verdict, hit)
            if mine and mine[-1].action != "Log":
                break
        if left and left[0].kind == END_OF_TIER and left[0].tier == tier:
            yield _of(side, verdict, left.pop(0))
    yield from (_of(side, verdict, hit) for hit in left)


def _of(side: str, verdict: Verdict, hit: Hit) -> Step:
    if hit.kind == END_OF_TIER:
        text = f"end of tier {hit.tier}: {hit.action}, because {hit.trigger} selects this endpoint"
        return _step(side, verdict, hit.tier, "", hit.action, -1, "", text)
    if hit.kind == PROFILE:
        text = f"profile {hit.name}: {hit.action}" if hit.name else "no profile allows it: Deny"
        return _step(side, verdict, "", hit.ref if hit.name else "", hit.action, hit.rule_index, hit.field, text)
    why = " (it asks for an ICMP type, which is not known)" if hit.action == "Unknown" else ""
    text = f"{hit.ref} {hit.field}: {hit.action}{why}"
    return _step(side, verdict, hit.tier, hit.ref, hit.action, hit.rule_index, hit.field, text)


def _step(side: str, verdict: Verdict, tier: str, policy: str, action: str, rule: int, field: str, text: str) -> Step:
    return Step(side, verdict.endpoint.name, verdict.direction, tier, policy, action, rule, field, text)
