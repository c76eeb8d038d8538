"""Moving a policy in its tier, or a rule in its policy: the document that would do it. Pure."""

from __future__ import annotations

import math
from typing import Any

from bascule.resources.policy import Policy
from bascule_console.services.policychange import ChangeRefused
from bascule_console.store.documents import portable
from bascule_console.store.policyworld import World

Obj = dict[str, Any]


def moved(world: World, policy: Policy, step: int) -> Obj:
    """The policy's document with the spec.order of one place up (-1) or down (+1) in its tier. Raises ChangeRefused."""
    if "Kubernetes" in policy.kind:
        raise ChangeRefused(f"{policy.ref} has no order of its own", "Kubernetes' NetworkPolicies stand at order 1000")
    every = [each for each in world.live.policies if each.tier == policy.tier and not each.host_only]
    line = sorted((each for each in every if each.identity != policy.identity), key=lambda each: each.sort_key)
    at = sum(each.sort_key < policy.sort_key for each in line) + step
    if not 0 <= at <= len(line):
        raise ChangeRefused(f"{policy.ref} is {'first' if step < 0 else 'last'} in tier {policy.tier} already")
    order = order_between(line[at - 1] if at else None, line[at] if at < len(line) else None)
    document = portable(world.raw[policy.identity])
    return {**document, "spec": {**(document.get("spec") or {}), "order": order}}


def order_between(above: Policy | None, below: Policy | None) -> float | int:
    """An order between two neighbours. Raises ChangeRefused when there is none: their ties go by name."""
    low = above.order if above else -math.inf
    high = below.order if below else math.inf
    if low == math.inf or (low == high and above and below):
        assert above is not None
        has = "has no order" if low == math.inf else f"and {below.ref if below else ''} have the same order {low:g}"
        raise ChangeRefused(f"there is no place behind {above.ref}", f"{above.ref} {has}; ties go by name",
                            "give that policy another order first (e)")  # fmt: skip
    if low == -math.inf:
        return 100 if high == math.inf else _whole(high - 10)
    if high == math.inf:
        return _whole(low + 10)
    middle = (low + high) / 2
    return _whole(round(middle) if low < round(middle) < high else middle)


def _whole(number: float) -> float | int:
    return int(number) if float(number).is_integer() else number


def rule_moved(world: World, policy: Policy, direction: str, rule: int, step: int) -> Obj:
    """The policy's document with one rule a place up (-1) or down (+1) in its direction. Raises ChangeRefused."""
    document = portable(world.raw[policy.identity])
    word = direction.lower()
    rules = list((document.get("spec") or {}).get(word) or [])
    if "Kubernetes" in policy.kind:
        raise ChangeRefused("Kubernetes' rules have no order", "each allows by itself")
    if not 0 <= rule + step < len(rules):
        raise ChangeRefused(f"the rule is {'first' if step < 0 else 'last'} of {word} already")
    rules[rule], rules[rule + step] = rules[rule + step], rules[rule]
    return {**document, "spec": {**document["spec"], word: rules}}
