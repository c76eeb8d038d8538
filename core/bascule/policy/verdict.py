"""The verdict on one connection and the path to it, as reference/calico-l2.md 7.3 lays down.

Source egress and destination ingress are judged apart and must both allow. Replies follow the connection's state and
are not judged. Judging is per endpoint: where neither end is one, nobody judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.flow import Flow
from bascule.policy.match import matches
from bascule.policy.model import PolicySet, TierPolicies
from bascule.policy.peers import Peers
from bascule.resources.policy import EGRESS, INGRESS
from bascule.resources.policy_rule import Rule

ALLOW, DENY, UNKNOWN = "allow", "deny", "unknown"
END_OF_TIER, PROFILE = "EndOfTier", "Profile"
DEFAULT_PROFILE = "kns."  # Kubernetes' namespace profiles allow everything


@dataclass(frozen=True, slots=True)
class Hit:
    """One step of a path (Goldmane's PolicyHit). `rule_index` is -1 at the end of a tier or of the profiles; `trigger`
    names the policy because of which the end of a tier counts; `field` is the rule's place in its document."""

    kind: str
    namespace: str
    name: str
    tier: str
    action: str
    policy_index: int
    rule_index: int
    field: str = ""
    trigger: str = ""

    @property
    def ref(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one endpoint's policy says in one direction; `path` ends with the hit that decided."""

    endpoint: Endpoint
    direction: str
    action: str
    path: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """Both ends; None for an end that is no endpoint known here."""

    source: Verdict | None
    destination: Verdict | None

    @property
    def action(self) -> str:
        """deny when one end denies; unknown when one is unknown, or no end has policy; else allow."""
        actions = {verdict.action for verdict in (self.source, self.destination) if verdict is not None}
        if DENY in actions:
            return DENY
        return UNKNOWN if UNKNOWN in actions or not actions else ALLOW


class Judge:
    """Judges connections under one PolicySet between fixed endpoints."""

    def __init__(self, policies: PolicySet, endpoints: Iterable[Endpoint]) -> None:
        self.policies = policies
        self.peers = Peers(policies, endpoints)
        self._applicable: dict[tuple[Key, str], list[TierPolicies]] = {}

    def connection(self, flow: Flow, source: Endpoint | None = None, destination: Endpoint | None = None) -> Connection:
        """Both ends of a flow, found by address where they are not given."""
        source = source or next(iter(self.peers.at((flow.version, flow.source))), None)
        destination = destination or next(iter(self.peers.at((flow.version, flow.destination))), None)
        return Connection(
            self.verdict(source, EGRESS, flow) if source else None,
            self.verdict(destination, INGRESS, flow) if destination else None,
        )

    def applicable(self, endpoint: Endpoint, direction: str) -> list[TierPolicies]:
        """The tiers and policies that count for an endpoint."""
        key = (endpoint.key, direction)
        if key not in self._applicable:
            self._applicable[key] = self.policies.applicable(self.policies.labels_of(endpoint), direction)
        return self._applicable[key]

    def verdict(self, endpoint: Endpoint, direction: str, flow: Flow) -> Verdict:
        """One endpoint's verdict."""
        path: list[Hit] = []
        for tier in self.applicable(endpoint, direction):
            action = self._tier(tier, direction, flow, path)
            if action != "Pass":
                return Verdict(endpoint, direction, _WORDS[action], tuple(path))
        action = self._profiles(endpoint, direction, flow, path)
        return Verdict(endpoint, direction, _WORDS[action], tuple(path))

    def _tier(self, tier: TierPolicies, direction: str, flow: Flow, path: list[Hit]) -> str:
        """Allow, Deny, Pass (on to the next tier) or Unknown."""
        for policy in tier.policies:
            for index, rule, action in self._hits(policy.rules(direction), flow):
                hit = Hit(*policy.identity, tier.tier.name, action, len(path), index, rule.field)
                path.append(hit)
                if action != "Log":
                    return action
        default, last = tier.tier.default_action, tier.policies[-1].ref
        path.append(Hit(END_OF_TIER, "", tier.tier.name, tier.tier.name, default, len(path), -1, trigger=last))
        return default

    def _profiles(self, endpoint: Endpoint, direction: str, flow: Flow, path: list[Hit]) -> str:
        for name in endpoint.profiles:
            profile = self.policies.profiles.get(name)
            if profile is None:
                if name.startswith(DEFAULT_PROFILE):
                    path.append(Hit(PROFILE, "", name, "", "Allow", len(path), 0))
                    return "Allow"
                continue
            rules = profile.ingress if direction == INGRESS else profile.egress
            for index, rule, action in self._hits(rules, flow):
                path.append(Hit(PROFILE, "", name, "", action, len(path), index, rule.field))
                if action != "Log":
                    return action
        path.append(Hit(PROFILE, "", "", "", "Deny", len(path), -1))
        return "Deny"

    def _hits(self, rules: tuple[Rule, ...], flow: Flow) -> Iterator[tuple[int, Rule, str]]:
        """Rules that match, with their action: Unknown where it depends on an ICMP type that is not known."""
        for index, rule in enumerate(rules):
            matched = matches(rule, flow, self.peers)
            if matched is None and rule.action != "Log":
                yield index, rule, "Unknown"
            elif matched:
                yield index, rule, rule.action


_WORDS = {"Allow": ALLOW, "Deny": DENY, "Unknown": UNKNOWN}
