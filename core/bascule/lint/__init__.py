"""Findings on resources before anything is applied: what is wrong, the evidence, the fix; one rule per function.

`lint` judges documents in the light of what the cluster has already. It never raises, whatever it is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bascule.lint import attachment, ippool, network_hosts, network_vlans, policy, policy_sets, shape, vm
from bascule.lint.finding import Finding
from bascule.lint.registry import REGISTERED, Rule
from bascule.lint.world import World

__all__ = ["RULES", "Finding", "Rule", "lint"]

RULES: tuple[Rule, ...] = tuple(
    rule
    for module in (shape, network_vlans, network_hosts, attachment, ippool, vm, policy, policy_sets)
    for rule in REGISTERED
    if rule.check.__module__ == module.__name__
)
"""Every rule, in the order in which findings and docs/findings.md list them."""


def lint(objects: Iterable[Any], context: Iterable[Any] = ()) -> list[Finding]:
    """Findings on `objects` (plain documents), by document and rule.

    `context` holds what the cluster has: Networks, NADs, IPPools, VMs, Nodes, Tiers, network sets. Where an object of
    `objects` has the identity of one in `context`, it replaces it.
    """
    world = World.of(objects, context)
    return [finding for document in world.linted for rule in RULES for finding in rule.findings(document, world)]
