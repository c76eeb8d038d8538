"""The tree of tiers, policies and rules as lines of a table. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.policy.model import Identity
from bascule.policy.shadow import EFFECTIVE
from bascule.resources.policy import EGRESS, INGRESS, Policy
from bascule_console.services.policyimpact import live_lines
from bascule_console.services.policyrows import ordered, row
from bascule_console.store.policybook import Hits
from bascule_console.store.policyworld import World

TIER, POLICY, RULE = "tier", "policy", "rule"
NO_AGENT, NEVER = "no agent", "never"


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `row` is what `policies list` says about the policy (its rules' lines have it too); `hits` is None
    while no agent counts; `effect` of a rule is "" while it is not known, or when it has one."""

    level: str
    key: Hashable
    name: str
    order: str = ""
    action: str = ""
    nics: int | None = None
    hits: int | None = None
    effect: str = ""
    words: str = ""
    state: str = ""
    open: bool = True
    tier: str = ""
    identity: Identity = ("", "", "")
    direction: str = ""
    rule: int = -1
    row: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def staged(self) -> bool:
        """Is it a staged policy, or a rule of one?"""
        return self.state.startswith("staged")


def lines(world: World, hits: Hits, folded: Collection[Hashable]) -> dict[Hashable, Line]:
    """The tree, by key, in the order of evaluation; what is folded shows no children."""
    found: dict[Hashable, Line] = {}
    by_tier: dict[str, list[tuple[Policy, str]]] = {each.tier.name: [] for each in world.live.tiers}
    for policy, state in ordered(world.live):
        by_tier.setdefault(policy.tier, []).append((policy, state))
    tiers = {each.tier.name: each.tier for each in world.live.tiers}
    for name, policies in by_tier.items():
        tier = tiers.get(name)
        if not policies and (tier is None or name in ("kube-admin", "kube-baseline")):
            continue  # always there and mostly empty
        key = (TIER, name)
        end = f"ends with {tier.default_action}" if tier else "does not exist"
        order = "-" if tier is None or math.isinf(tier.order) else f"{tier.order:.12g}"
        found[key] = Line(TIER, key, name, order, words=end, open=key not in folded, tier=name)
        if key not in folded:
            for policy, state in policies:
                _policy(found, world, hits, folded, policy, state)
    return found


def _policy(
    found: dict[Hashable, Line], world: World, hits: Hits, folded: Collection[Hashable], policy: Policy, state: str
) -> None:
    document = row(world, policy, state)
    key = (POLICY, *policy.identity)
    rules = _rules(world, hits, policy, state, document)
    counted = [line.hits for line in rules if line.hits is not None]
    name = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
    types = "+".join({INGRESS: "in", EGRESS: "out"}[each] for each in sorted(policy.types, reverse=True))
    found[key] = Line(
        POLICY,
        key,
        name,
        document["order"],
        types,
        document["selects"],
        sum(counted) if counted else None,
        words=document["selector"],
        state=state,
        open=key not in folded,
        tier=policy.tier,
        identity=policy.identity,
        row=document,
    )
    if key not in folded:
        found.update((line.key, line) for line in rules)


def _rules(world: World, hits: Hits, policy: Policy, state: str, document: Mapping[str, Any]) -> list[Line]:
    effects = {(each.direction, each.rule): each for each in world.known_effects(policy.identity)}
    found = []
    for direction, at, text in live_lines(world, policy):
        action, words = _split(text, policy.rules(direction)[at].action)
        way = "in" if direction == INGRESS else "out"
        counted = hits.of((*policy.identity, direction, at)) if state == "enforced" else None
        known = effects.get((direction, at))
        effect = known.effect if known is not None and known.effect != EFFECTIVE else ""
        found.append(
            Line(
                RULE,
                (RULE, *policy.identity, direction, at),
                f"{way} {at}",
                action=action,
                hits=counted,
                effect=effect,
                words=words,
                state=state,
                tier=policy.tier,
                identity=policy.identity,
                direction=direction,
                rule=at,
                row=document,
            )
        )
    return found


def _split(line: str, action: str) -> tuple[str, str]:
    """A rule's line without the words that have a column of their own."""
    words = line.split(" ", 2)
    return (action, words[2] if len(words) > 2 else "anything") if words[0] in ("in", "out") else (action, line)


def hit_words(line: Line, *, counting: bool) -> str:
    """What the HITS column says."""
    if line.level == TIER or line.state != "enforced":
        return ""
    if line.hits is None:
        return "" if counting else NO_AGENT
    return NEVER if line.hits == 0 else str(line.hits)
