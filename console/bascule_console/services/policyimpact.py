"""What a policy would do if it were in force: whom it selects now and no longer, which peers its rules match, which
rules do nothing, and what it would have done to recorded traffic. Pure, and slow enough to want a thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from bascule.policy.endpoints import Endpoint
from bascule.policy.forecast import Forecast, forecast
from bascule.policy.layout import Limits
from bascule.policy.model import PolicySet
from bascule.policy.shadow import RuleEffect, Shadows
from bascule.policy.whatif import WhatIf
from bascule.resources.policy import EGRESS, INGRESS, STAGES, Policy, policy_kind
from bascule.resources.policy_rule import Rule
from bascule.resources.read import dig, items, mapping
from bascule_console.services.policyrule import line_of
from bascule_console.store.policyworld import World

Obj = dict[str, Any]
PEERS_MOST = 4


@dataclass(frozen=True, slots=True)
class RuleImpact:
    """One rule as a line, whom its peer side matches in words, and what it does (None while that is not known)."""

    direction: str
    rule: int
    line: str
    peers: str
    effect: RuleEffect | None


@dataclass(frozen=True, slots=True)
class Impact:
    """`selected` are endpoints under the proposal, `gained` and `lost` against what is live under the same name;
    `forecast` is None without recorded flows; `refused` says why the proposal cannot be used; `misfits` are NICs whose
    maps could not hold it, with the reason: they would keep the program they have."""

    selected: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    rules: tuple[RuleImpact, ...] = ()
    forecast: Forecast | None = None
    refused: str = ""
    misfits: Mapping[str, str] = field(default_factory=dict)


def in_force(document: Mapping[str, Any]) -> Obj | None:
    """The enforced document that a staged one stands for; itself when it is not staged, None when it deletes."""
    kind = policy_kind(document)
    if kind not in STAGES:
        return dict(document)
    spec = {key: value for key, value in mapping(document.get("spec")).items() if key != "stagedAction"}
    if dig(document, "spec", "stagedAction") == "Delete":
        return None
    metadata = mapping(document.get("metadata"))
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if metadata.get(key)}
    if kind == "StagedKubernetesNetworkPolicy":
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": kept, "spec": spec}
    return {"apiVersion": document["apiVersion"], "kind": STAGES[kind], "metadata": kept, "spec": spec}


def after(world: World, document: Mapping[str, Any]) -> PolicySet:
    """The cluster's policy with this one in force."""
    found = in_force(document)
    if found is not None:
        return world.policies([found])
    policy = Policy.of(document)
    gone = (STAGES[policy.kind], policy.namespace, policy.name)
    keep = [each for each in world.documents if not policy_kind(each) or Policy.of(each).identity != gone]
    return PolicySet.of(keep)


def impact(world: World, document: Mapping[str, Any], records: NDArray[Any] | None) -> Impact:
    """All of it; `records` are recorded flows, None when there are none to be had."""
    then, enforced = after(world, document), in_force(document)
    policy = Policy.of(enforced if enforced is not None else document)
    refused = next(
        (each.reason for each in then.refused if each.policy and each.policy.identity == policy.identity), ""
    )
    live = world.live_twin(Policy.of(document))
    now = {each.name for each in world.selected(live)} if live else set()
    selected = {each.name for each in world.selected(policy)} if enforced is not None else set()
    effects: dict[tuple[str, int], RuleEffect] = {}
    misfits: dict[str, str] = {}
    if enforced is not None and not refused:
        shadows = Shadows(then, world.endpoints)
        effects = {(each.direction, each.rule): each for each in shadows.of(policy.identity)}
        misfits = {name: why for name, why in shadows.misfits(Limits()).items() if name in selected}
    judged = None
    if records is not None and not refused:
        judged = forecast(records, world.judge, WhatIf(then, world.endpoints))
    return Impact(
        tuple(sorted(selected)),
        tuple(sorted(selected - now)),
        tuple(sorted(now - selected)),
        tuple(rule_impacts(world, policy, enforced or {}, effects)),
        judged,
        refused,
        misfits,
    )


def rule_lines(policy: Policy, document: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """(direction, index, line) of every rule, ingress first."""
    found = []
    for direction, word in ((INGRESS, "ingress"), (EGRESS, "egress")):
        raw, rules = items(dig(document, "spec", word)), policy.rules(direction)
        # A rule of Kubernetes' own kind may have become several, and reads otherwise.
        plain = len(raw) == len(rules) and "Kubernetes" not in policy.kind
        lines = [line_of(mapping(raw[at]), direction) if plain else rule.field for at, rule in enumerate(rules)]
        found += [(direction, at, line) for at, line in enumerate(lines)]
    return found


def live_lines(world: World, policy: Policy) -> list[tuple[str, int, str]]:
    """`rule_lines` of a policy of the cluster, written once."""
    found = world.texts.get(policy.identity)
    if found is None:
        found = world.texts[policy.identity] = rule_lines(policy, world.raw.get(policy.identity, {}))
    return found


def rule_impacts(
    world: World, policy: Policy, document: Mapping[str, Any], effects: Mapping[tuple[str, int], RuleEffect]
) -> list[RuleImpact]:
    """Every rule of a policy, ingress first."""
    return [
        RuleImpact(
            direction,
            at,
            line,
            peers_of(world, policy.rules(direction)[at], direction),
            effects.get((direction, at)),
        )
        for direction, at, line in rule_lines(policy, document)
    ]


def peers_of(world: World, rule: Rule, direction: str) -> str:
    """Whom the peer side of a rule matches, in words."""
    side = rule.source if direction == INGRESS else rule.destination
    if side.selector is None:
        return f"{len(side.nets)} nets" if len(side.nets) > 1 else "1 net" if side.nets else "anybody"
    nics = [
        each.name for each, labels in zip(world.endpoints, world.labels, strict=True) if side.selector.matches(labels)
    ]
    sets = [each.name for each in world.live.sets if side.selector.matches(world.live.labels_of_set(each))]
    return told(nics, "NIC") + (f"; set {', '.join(sets)}" if sets else "") if nics or sets else "nobody"


def told(names: list[str], what: str, most: int = PEERS_MOST) -> str:
    """`3 NICs: a, b, c`, cut after `most`."""
    if not names:
        return f"no {what}"
    more = f", … {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''}: {', '.join(names[:most])}{more}"


def talker_rows(found: Forecast, endpoints: tuple[Endpoint, ...]) -> list[dict[str, Any]]:
    """The talkers as `policies whatif` has them: names for addresses, and the addresses beside them."""
    names = {ip: endpoint.name for endpoint in endpoints for ip in endpoint.ips}
    rows = []
    for talker in found.talkers:
        row, sides = talker.as_dict(), ("source", "destination")
        named = {side: names.get(row[side], row[side]) for side in sides}
        rows.append(row | named | {f"{side}_ip": row[side] for side in sides})
    return rows
