"""Policies as rows for people: in the order in which they are evaluated, staged and unusable ones named as such."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bascule.policy.model import PolicySet
from bascule.resources.policy import KUBERNETES_POLICY, STAGED_KUBERNETES, Policy, order_text
from bascule.resources.read import dig
from bascule_console.store.policyworld import World


def rows(world: World) -> list[dict[str, Any]]:
    """One object for each policy; `selects` counts endpoints, `state` is enforced, staged (Set), hosts only, or why it
    cannot be used."""
    return [row(world, policy, state) for policy, state in ordered(world.live)]


def row(world: World, policy: Policy, state: str) -> dict[str, Any]:
    """One policy as `policies list` has it."""
    return {
        "tier": policy.tier,
        "order": order_text(policy.order),
        "kind": policy.kind,
        "namespace": policy.namespace,
        "name": policy.name,
        "types": sorted(policy.types),
        "rules": len(policy.ingress) + len(policy.egress),
        "selects": len(world.selected(policy)),
        "state": state,
        "selector": _selector(world.raw.get(policy.identity), policy),
    }


def ordered(policies: PolicySet) -> Iterator[tuple[Policy, str]]:
    """Every policy with its state; staged ones where they would stand, those without a tier last."""
    staged = [policy for policy in policies.policies if policy.staged]
    for each in policies.tiers:
        mine = [*each.policies, *(policy for policy in staged if policy.tier == each.tier.name)]
        for policy in sorted(mine, key=lambda policy: policy.sort_key):
            yield policy, f"staged ({policy.staged})" if policy.staged else "enforced"
    yield from ((policy, "host endpoints only") for policy in policies.policies if policy.host_only)
    for refused in policies.refused:
        if refused.policy is not None:
            yield refused.policy, f"not usable: {refused.reason}"


def _selector(document: Any, policy: Policy) -> str:
    """The selector as it is written; Kubernetes' own as Bascule reads it."""
    if policy.kind in (KUBERNETES_POLICY, STAGED_KUBERNETES):
        return str(policy.selector or "")
    return str(dig(document, "spec", "selector") or "all()")
