"""What a cluster says about policy: documents and endpoints. Pure; verbs read it once, the console keeps it current."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bascule.policy.endpoints import Endpoint
    from bascule.policy.model import Identity, PolicySet
    from bascule.policy.shadow import RuleEffect, Shadows
    from bascule.policy.whatif import WhatIf
    from bascule.resources.policy import Policy

Obj = dict[str, Any]


@dataclass(frozen=True)
class World:
    """`documents` are live ones; `missing` says in words what this user may not read and which pods are malformed;
    `texts` keeps the lines of rules that were written once (services.policyimpact)."""

    documents: list[Obj]
    endpoints: tuple[Endpoint, ...]
    missing: tuple[str, ...]
    _effects: dict[Identity, tuple[RuleEffect, ...]] = field(default_factory=dict, compare=False, repr=False)
    texts: dict[Identity, list[tuple[str, int, str]]] = field(default_factory=dict, compare=False, repr=False)

    def policies(self, proposed: Iterable[Any] = ()) -> PolicySet:
        """The cluster's policy, or as it would be with these documents applied."""
        from bascule.policy.model import PolicySet

        return PolicySet.of([*self.documents, *proposed])

    @cached_property
    def live(self) -> PolicySet:
        """The cluster's policy as it is."""
        return self.policies()

    @cached_property
    def raw(self) -> dict[Identity, Obj]:
        """The documents of every policy."""
        from bascule.resources.policy import Policy, policy_kind

        return {Policy.of(document).identity: document for document in self.documents if policy_kind(document)}

    @cached_property
    def labels(self) -> list[dict[str, str]]:
        """The flat labels of each endpoint, in the order of `endpoints`."""
        return [self.live.labels_of(endpoint) for endpoint in self.endpoints]

    @cached_property
    def selection(self) -> dict[Identity, list[Endpoint]]:
        """The endpoints that each policy of the cluster selects, by index: a thousand policies on ten thousand NICs."""
        from bascule.selectors.index import SelectorIndex

        index: SelectorIndex[Identity, int] = SelectorIndex()
        every = [each for each in self.every.values() if each.selector is not None]
        for policy in every:
            assert policy.selector is not None
            index.put_selector(policy.identity, policy.selector)
        for at, labels in enumerate(self.labels):
            index.put_endpoint(at, labels)
        return {each.identity: [self.endpoints[at] for at in sorted(index.endpoints(each.identity))] for each in every}

    def selected(self, policy: Policy) -> list[Endpoint]:
        """The endpoints that a policy selects, also one that is only proposed."""
        if policy.selector is None:
            return []
        if self._is_live(policy):
            return self.selection[policy.identity]
        pairs = zip(self.endpoints, self.labels, strict=True)
        return [endpoint for endpoint, labels in pairs if policy.selector.matches(labels)]

    def _is_live(self, policy: Policy) -> bool:
        return self.every.get(policy.identity) is policy

    @cached_property
    def every(self) -> dict[Identity, Policy]:
        """Every policy of the cluster, those that cannot be used too."""
        refused = [each.policy for each in self.live.refused if each.policy is not None]
        return {each.identity: each for each in (*self.live.policies, *refused)}

    def applying(self, endpoint: Endpoint) -> list[Policy]:
        """The enforced policies that count for an endpoint, in the order in which they are asked."""
        labels = self.live.labels_of(endpoint)
        every = [policy for tier in self.live.tiers for policy in tier.policies]
        return [policy for policy in every if policy.selector is not None and policy.selector.matches(labels)]

    def live_twin(self, policy: Policy) -> Policy | None:
        """What the cluster has under this policy's kind and name; for a staged one that is new, what it stages."""
        from bascule.resources.policy import STAGES

        kind, namespace, name = policy.identity
        return self.every.get(policy.identity) or self.every.get((STAGES.get(kind, kind), namespace, name))

    @cached_property
    def judge(self) -> WhatIf:
        """Judges recorded flows as they are judged now; slow when first asked."""
        from bascule.policy.whatif import WhatIf

        return WhatIf(self.live, self.endpoints)

    @cached_property
    def _shadows(self) -> Shadows:
        from bascule.policy.shadow import Shadows

        return Shadows(self.live, self.endpoints)

    def effects(self, identity: Identity) -> tuple[RuleEffect, ...]:
        """What each rule of an enforced policy does (policy.shadow); slow when first asked, so not in an event loop."""
        if identity not in self._effects:
            self._effects[identity] = self._shadows.of(identity)
        return self._effects[identity]

    def known_effects(self, identity: Identity) -> tuple[RuleEffect, ...]:
        """As `effects`, but only what was worked out already."""
        return self._effects.get(identity, ())
