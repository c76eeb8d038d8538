"""One policy whole, for `policies show` and its screen: rules with peers, effects and hits; NICs. Pure."""

from __future__ import annotations

from typing import Any

from bascule.resources.policy import Policy
from bascule_console.services.policyimpact import rule_impacts
from bascule_console.services.policyrows import ordered, row
from bascule_console.store.policybook import Hits
from bascule_console.store.policyworld import World


def document(world: World, policy: Policy, hits: Hits) -> dict[str, Any]:
    """The policy's line of `policies list`, with `ruleset` and `nics`. `packets` is None while no agent counts."""
    state = next(state for each, state in ordered(world.live) if each.identity == policy.identity)
    return {
        **row(world, policy, state),
        "ruleset": rule_rows(world, policy, hits),
        "nics": [
            {"name": each.name, "ips": list(each.ips), "network": each.network, "vlan": each.vlan, "pod": each.pod}
            for each in world.selected(policy)
        ],
        "counted_by": list(hits.nodes),
    }


def rule_rows(world: World, policy: Policy, hits: Hits) -> list[dict[str, Any]]:
    """Every rule; `effect` is "" for a policy that is not in force."""
    effects = {(each.direction, each.rule): each for each in world.effects(policy.identity)}
    found = []
    for each in rule_impacts(world, policy, world.raw.get(policy.identity, {}), effects):
        effect = each.effect.as_dict() if each.effect else {"effect": "", "by": [], "witness": None}
        packets = hits.of((*policy.identity, each.direction, each.rule)) if each.effect else None
        found.append(
            {
                "direction": each.direction,
                "rule": each.rule,
                "line": each.line,
                "peers": each.peers,
                "effect": effect["effect"],
                "by": effect["by"],
                "witness": effect["witness"],
                "packets": packets,
            }
        )
    return found


def nic_policies(world: World, namespace: str, vm: str) -> dict[str, list[str]]:
    """NIC → the enforced policies that count for it, in the order in which they are asked, staged ones after them."""
    staged = [policy for policy in world.live.policies if policy.staged]
    found: dict[str, list[str]] = {}
    for endpoint in world.endpoints:
        if (endpoint.namespace, endpoint.vm) != (namespace, vm):
            continue
        labels = world.live.labels_of(endpoint)
        later = [each.ref for each in staged if each.selector is not None and each.selector.matches(labels)]
        found[endpoint.nic] = [*(each.ref for each in world.applying(endpoint)), *later]
    return found
