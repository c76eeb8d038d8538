"""Everything that policy says in one cluster: tiers with their policies in order, sets, profiles, inherited labels.

A document that cannot be used is in `refused` with the reason, never half read. A broken network set refuses every
policy that asks for its labels: without the set's nets their rules would match too little or too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bascule.policy.endpoints import Endpoint
from bascule.resources import policy_scope as scope
from bascule.resources.meta import Meta
from bascule.resources.policy import CALICO, STAGES, Policy, policy_kind
from bascule.resources.policy_read import Fault
from bascule.resources.policy_rule import Rule
from bascule.resources.policy_sets import FIXED_TIERS, GLOBAL_SET, NETWORK_SET, PROFILE, TIER, NetworkSet, Profile, Tier
from bascule.resources.read import dig, text
from bascule.selectors import Node

Identity = tuple[str, str, str]
Labels = Mapping[str, str]
_GROUPS = ("", CALICO, "crd.projectcalico.org")


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that is not used; `policy` is set for one, so that its reach can be told."""

    ref: str
    faults: tuple[Fault, ...]
    policy: Policy | None = None

    @property
    def reason(self) -> str:
        """The first fault: field and what is wrong."""
        fault = self.faults[0]
        return f"{fault.field}: {fault.message}" if fault.field else fault.message


@dataclass(frozen=True, slots=True)
class TierPolicies:
    """A tier and the enforced policies in it, in the order in which they are evaluated."""

    tier: Tier
    policies: tuple[Policy, ...]


@dataclass(frozen=True)
class PolicySet:
    """Immutable. `policies` are the usable ones, enforced and staged; `tiers` hold the enforced ones in order."""

    tiers: tuple[TierPolicies, ...] = ()
    policies: tuple[Policy, ...] = ()
    sets: tuple[NetworkSet, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    accounts: Mapping[tuple[str, str], Labels] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()

    @classmethod
    def of(cls, documents: Iterable[Any]) -> PolicySet:
        """From documents of any kinds; those that say nothing about policy are passed over. Of two with the same
        identity the later counts, so that `[*live, *proposed]` is the cluster after an apply."""
        return _Builder(documents).build()

    def with_staged(self) -> PolicySet:
        """The set as it would be if every staged policy were promoted: Set replaces or adds, Delete removes, Learn and
        Ignore change nothing."""
        enforced = {policy.identity: policy for policy in self.policies if not policy.staged}
        for policy in self.policies:
            if policy.staged in ("Set", "Delete"):
                promoted = replace(policy, kind=STAGES[policy.kind], staged="")
                enforced.pop(promoted.identity, None)
                if policy.staged == "Set":
                    enforced[promoted.identity] = promoted
        tiers = tuple(each.tier for each in self.tiers)
        return replace(self, policies=tuple(enforced.values()), tiers=_arrange(tiers, enforced.values()))

    def labels_of(self, endpoint: Endpoint) -> dict[str, str]:
        """An endpoint's flat labels (bascule.resources.policy_scope)."""
        account = self.accounts.get((endpoint.namespace, endpoint.account))
        return scope.flat(
            endpoint.labels, endpoint.namespace, self.namespaces.get(endpoint.namespace), endpoint.account, account
        )

    def labels_of_set(self, network_set: NetworkSet) -> dict[str, str]:
        """A network set's flat labels."""
        return scope.flat(network_set.labels, network_set.namespace, self.namespaces.get(network_set.namespace))

    def applicable(self, labels: Labels, direction: str) -> list[TierPolicies]:
        """The tiers that have a policy for an endpoint with these flat labels in this direction, with those only."""
        found = []
        for each in self.tiers:
            policies = tuple(
                policy
                for policy in each.policies
                if direction in policy.types and policy.selector is not None and policy.selector.matches(labels)
            )
            if policies:
                found.append(TierPolicies(each.tier, policies))
        return found


class _Builder:
    """Sorts documents by what they are, then puts the set together."""

    def __init__(self, documents: Iterable[Any]) -> None:
        self.policies: dict[Identity, Policy] = {}
        self.tiers: dict[str, Tier] = {name: Tier(name, *fixed) for name, fixed in FIXED_TIERS.items()}
        self.sets: dict[tuple[str, str], NetworkSet] = {}
        self.profiles: dict[str, Profile] = {}
        self.namespaces: dict[str, Labels] = {}
        self.accounts: dict[tuple[str, str], Labels] = {}
        for document in documents:
            if policy_kind(document):
                policy = Policy.of(document)
                self.policies[policy.identity] = policy
            else:
                self._other(document)

    def _other(self, document: Any) -> None:
        kind, group = text(dig(document, "kind")), text(dig(document, "apiVersion")).partition("/")[0]
        if kind == "Namespace" and group in ("", "v1"):
            meta = Meta.of(document)
            self.namespaces[meta.name] = meta.labels
        elif kind == "ServiceAccount" and group in ("", "v1"):
            meta = Meta.of(document)
            self.accounts[meta.namespace or "default", meta.name] = meta.labels
        elif group not in _GROUPS:
            return
        elif kind == TIER:
            tier = Tier.of(document)
            self.tiers[tier.name] = tier
        elif kind in (NETWORK_SET, GLOBAL_SET):
            found = NetworkSet.of(document)
            self.sets[found.namespace, found.name] = found
        elif kind == PROFILE:
            profile = Profile.of(document)
            self.profiles[profile.name] = profile

    def build(self) -> PolicySet:
        refused = list(self._refused_others())
        empty = PolicySet(namespaces=self.namespaces)
        broken = {_set_ref(each): empty.labels_of_set(each) for each in self.sets.values() if each.faults}
        usable = []
        for policy in self.policies.values():
            faults = [*policy.faults, *self._tier_faults(policy), *_set_faults(policy, broken)]
            if faults:
                refused.append(Refused(policy.ref, tuple(faults), policy))
            else:
                usable.append(policy)
        tiers = tuple(tier for tier in self.tiers.values() if not tier.faults)
        return PolicySet(
            tiers=_arrange(tiers, [policy for policy in usable if not policy.staged]),
            policies=tuple(usable),
            sets=tuple(each for each in self.sets.values() if not each.faults),
            profiles={name: profile for name, profile in self.profiles.items() if not profile.faults},
            namespaces=self.namespaces,
            accounts=self.accounts,
            refused=tuple(refused),
        )

    def _refused_others(self) -> Iterator[Refused]:
        for tier in self.tiers.values():
            if tier.faults:
                yield Refused(f"Tier/{tier.name}", tier.faults)
        for each in self.sets.values():
            if each.faults:
                yield Refused(_set_ref(each), each.faults)
        for profile in self.profiles.values():
            if profile.faults:
                yield Refused(f"Profile/{profile.name}", profile.faults)

    def _tier_faults(self, policy: Policy) -> Iterator[Fault]:
        tier = self.tiers.get(policy.tier)
        if tier is None or tier.faults:
            message = "the tier does not exist" if tier is None else "the tier cannot be used"
            yield Fault("policy-tier", "spec.tier", message, policy.tier, "Create the tier first, or name another.")


def _arrange(tiers: Iterable[Tier], policies: Iterable[Policy]) -> tuple[TierPolicies, ...]:
    """Tiers by order, ties by name; in each its policies, host-endpoint ones left out."""
    by_tier: dict[str, list[Policy]] = {}
    for policy in policies:
        if not policy.host_only:
            by_tier.setdefault(policy.tier, []).append(policy)
    ordered = sorted(tiers, key=lambda tier: (tier.order, tier.name))
    return tuple(
        TierPolicies(tier, tuple(sorted(by_tier.get(tier.name, ()), key=lambda each: each.sort_key)))
        for tier in ordered
    )


def _set_faults(policy: Policy, broken: Mapping[str, Labels]) -> Iterator[Fault]:
    for ref, labels in broken.items():
        for rule in (*policy.ingress, *policy.egress):
            if any(node.matches(labels) for node in _selectors(rule)):
                message = f"asks for {ref}, which cannot be used"
                yield Fault("policy-set", rule.field, message, ref, f"Put {ref} right first.")
                break


def _selectors(rule: Rule) -> Iterator[Node]:
    for side in (rule.source, rule.destination):
        yield from (node for node in (side.selector, side.not_selector) if node is not None)


def _set_ref(network_set: NetworkSet) -> str:
    if network_set.namespace:
        return f"{NETWORK_SET}/{network_set.namespace}/{network_set.name}"
    return f"{GLOBAL_SET}/{network_set.name}"
