"""Rules without effect: what shadow.py says, held against the evaluator that shares no code with it.

Effective: the packet it names gets another verdict from the same documents without that rule. Shadowed: no flow of many
ever hits it. Redundant: no flow of many gets another verdict without it.
"""

from __future__ import annotations

import copy
import random
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_policy_cases import Case, Cases

from bascule.policy.boxes import EVERYTHING, Box, Budget, split
from bascule.policy.endpoints import Endpoint
from bascule.policy.flow import Flow
from bascule.policy.intervals import ALL
from bascule.policy.model import PolicySet
from bascule.policy.shadow import (
    EFFECTIVE,
    NOTHING,
    REDUNDANT,
    SHADOWED,
    UNDECIDED,
    UNSELECTED,
    RuleEffect,
    Shadows,
    Witness,
)  # fmt: skip
from bascule.policy.verdict import Judge
from bascule.resources.policy import INGRESS, Policy, policy_kind
from bascule.resources.policy_read import ICMP

Doc = dict[str, Any]
WEB = Endpoint("vms", "p-web", "net", "web", "net-0", "dc1", 110, ("10.110.0.11",), {"app": "web"})
DB = Endpoint("vms", "p-db", "net", "db", "net-0", "dc1", 110, ("10.110.0.12",), {"app": "db"})


def policy(*ingress: Doc, name: str = "p", kind: str = "GlobalNetworkPolicy", **spec: Any) -> Doc:
    found = {"selector": "app == 'web'", "types": ["Ingress"], "ingress": list(ingress), **spec}
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": found}


def tcp(action: str, *ports: Any, **more: Any) -> Doc:
    return {"action": action, "protocol": "TCP", "destination": {"ports": list(ports)} if ports else {}, **more}


def effects(*documents: Doc, name: str = "p", budget: int = 200_000) -> list[RuleEffect]:
    shadows = Shadows(PolicySet.of(documents), [WEB, DB], budget)
    return list(shadows.of(("GlobalNetworkPolicy", "", name)))


def words(*documents: Doc, name: str = "p") -> list[str]:
    return [each.effect for each in effects(*documents, name=name)]


def test_what_comes_first_takes_it_all() -> None:
    found = effects(policy(tcp("Allow", 443), tcp("Deny", "400:500"), tcp("Deny", 443), tcp("Allow", 450)))
    assert [each.effect for each in found] == [EFFECTIVE, EFFECTIVE, SHADOWED, SHADOWED]
    assert found[2].by == ("default/GlobalNetworkPolicy/p ingress[0]",)
    assert found[3].by == ("default/GlobalNetworkPolicy/p ingress[1]",)
    assert found[0].witness == Witness("vms/web/net-0", 0, 0x0A6E000B, 6, 0, 443)


def test_several_rules_together_shadow_one() -> None:
    halves = [tcp("Deny", "1:32767"), tcp("Deny", "32768:65535")]
    assert words(policy(*halves, tcp("Allow", "1:65535")))[-1] == SHADOWED
    assert words(policy(*halves[:1], tcp("Allow", "1:65535")))[-1] == EFFECTIVE


def test_another_policy_and_another_tier_shadow() -> None:
    first = policy(tcp("Deny"), name="a", order=1)
    assert words(first, policy(tcp("Allow", 443), order=2)) == [SHADOWED]
    tier: Doc = {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "early"}}
    tier["spec"] = {"order": 1}
    early = policy(tcp("Pass", 443), name="a", tier="early")
    assert words(tier, early, policy(tcp("Allow", 443), tcp("Allow", 80))) == [EFFECTIVE, SHADOWED]
    assert words(tier, early, policy(tcp("Allow", 443)), name="a") == [EFFECTIVE]
    # Without the Pass the end of the tier would pass it on all the same.
    tier["spec"]["defaultAction"] = "Pass"
    assert words(tier, early, policy(tcp("Allow", 443)), name="a") == [REDUNDANT]


def test_what_nothing_can_match() -> None:
    peers = {"source": {"selector": "app == 'nobody'"}}
    assert words(policy({"action": "Allow", **peers}, {"action": "Allow", "ipVersion": 6})) == [NOTHING, NOTHING]
    elsewhere = {"destination": {"nets": ["10.99.0.0/16"]}}
    assert words(policy({"action": "Allow", **elsewhere})) == [NOTHING]
    assert words(policy(tcp("Allow"), selector="app == 'nobody'")) == [UNSELECTED]
    assert Shadows(PolicySet(), [WEB]).of(("GlobalNetworkPolicy", "", "p")) == ()


def test_effective_at_one_nic_is_effective() -> None:
    narrow = policy(tcp("Deny"), name="a", order=1)
    both = policy(tcp("Allow", 443), selector="app in {'web', 'db'}", order=2)
    found = effects(narrow, both)
    assert [each.effect for each in found] == [EFFECTIVE]
    assert found[0].witness is not None and found[0].witness.endpoint == "vms/db/net-0"


def test_of_two_equal_rules_the_second_is_idle() -> None:
    assert words(policy(tcp("Allow", 7), tcp("Allow", 7))) == [EFFECTIVE, SHADOWED]
    assert words(policy(tcp("Allow", 7), tcp("Allow"))) == [REDUNDANT, EFFECTIVE]


def test_log_counts_where_something_arrives() -> None:
    log = {"action": "Log"}
    assert words(policy(log, tcp("Allow"))) == [EFFECTIVE, EFFECTIVE]
    assert words(policy({"action": "Allow"}, log)) == [EFFECTIVE, SHADOWED]


def test_icmp_types_are_not_ports() -> None:
    echo = {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}}
    rest = {"action": "Deny", "protocol": "ICMP", "notICMP": {"type": 8}}
    every = {"action": "Deny", "protocol": "ICMP"}
    assert words(policy(echo, rest, every, {"action": "Allow"})) == [EFFECTIVE, EFFECTIVE, SHADOWED, EFFECTIVE]


def test_too_big_is_said() -> None:
    rules = [{"action": "Deny", "source": {"nets": [f"10.{n}.0.0/16"]}} for n in range(60)]
    found = effects(policy(*rules, {"action": "Allow"}), budget=200)
    assert found[0].effect in (EFFECTIVE, REDUNDANT) and found[-1].effect == UNDECIDED


@given(st.lists(st.tuples(*[st.tuples(st.integers(0, 9), st.integers(0, 9)) for _ in range(3)], st.integers(1, 7)),
                min_size=1, max_size=4))  # fmt: skip
def test_a_split_loses_and_adds_nothing(given_boxes: list[Any]) -> None:
    def box(sides: Any) -> Box:
        ranges = [((min(side), max(side)),) for side in sides[:3]]
        return Box(ranges[0], sides[3], ranges[1], ranges[2])

    first, *others = map(box, given_boxes)
    left, budget = [first], Budget(100_000)
    for other in others:
        left = split(left, other, budget).rest
    for point in ((a, p, s, d) for a in range(0, 10, 3) for p in range(3) for s in range(0, 10, 3) for d in range(10)):
        wanted = _in(first, point) and not any(_in(other, point) for other in others)
        assert sum(_in(each, point) for each in left) == wanted, "missing, or twice"


def _in(box: Box, point: tuple[int, int, int, int]) -> bool:
    sides = ((box.peers, point[0]), (box.source_ports, point[2]), (box.destination_ports, point[3]))
    return bool(box.protos >> point[1] & 1) and all(any(a <= v <= b for a, b in ranges) for ranges, v in sides)


def test_everything_is_every_protocol_once() -> None:
    assert sum(box.protos for box in EVERYTHING) == (1 << 256) - 1
    assert {box.peers for box in EVERYTHING} == {ALL}


# --- against the evaluator


def check(case: Case, more: int) -> list[str]:
    """Every rule of every policy of a random cluster; the effects that were met."""
    policies, met = PolicySet.of(case.documents), []
    shadows = Shadows(policies, case.endpoints)
    for number, document in enumerate(case.documents):
        if not policy_kind(document) or not (found := Policy.of(document)) or found.staged or found.host_only:
            continue
        if document is not _last(case.documents, found.identity):
            continue
        effects_ = shadows.of(found.identity)
        for effect in effects_:
            met.append(effect.effect)
            idle = [each for each in effects_ if each.effect in (SHADOWED, NOTHING) and each is not effect]
            _confirm(case, number, effect, idle, more)
    return met


def _last(documents: list[Doc], identity: Any) -> Doc:
    return [each for each in documents if policy_kind(each) and Policy.of(each).identity == identity][-1]


def _confirm(case: Case, number: int, effect: RuleEffect, idle: list[RuleEffect], more: int) -> None:
    before = Judge(PolicySet.of(case.documents), case.endpoints)

    def less(gone: list[RuleEffect]) -> Judge:
        return Judge(PolicySet.of(_less(case.documents, number, gone)), case.endpoints)

    # One rule is taken away alone, or with those of its policy that are idle: two equal rules are not both idle.
    after = less([effect, *idle] if effect.effect == REDUNDANT else [effect])
    identity = Policy.of(case.documents[number]).identity
    if effect.effect == EFFECTIVE:
        assert effect.witness is not None
        flow, endpoint = _flow(effect), next(e for e in case.endpoints if e.name == effect.witness.endpoint)
        verdicts = [
            judge.verdict(endpoint, effect.direction, flow)
            for judge in (before, after, *([less([effect, *idle])] if idle else []))
        ]
        hit = [h for h in verdicts[0].path if (h.kind, h.namespace, h.name) == identity and h.rule_index == effect.rule]
        assert hit, (effect, flow)
        assert effect.action == "Log" or len({each.action for each in verdicts}) > 1, (effect, flow)
        return
    assert effect.effect in (SHADOWED, REDUNDANT, NOTHING, UNSELECTED), effect
    for flow in _flows(case, more):
        for endpoint in case.endpoints:
            if flow.version != 4 or (flow.destination if effect.direction == INGRESS else flow.source) not in _own(
                endpoint
            ):
                continue
            one, two = (judge.verdict(endpoint, effect.direction, flow) for judge in (before, after))
            assert one.action == two.action, (effect, flow)
            hit = [h for h in one.path if (h.kind, h.namespace, h.name) == identity and h.rule_index == effect.rule]
            assert not hit or effect.effect == REDUNDANT, (effect, flow)


def _own(endpoint: Endpoint) -> set[int]:
    return {int(ip_address(ip)) for ip in endpoint.ips}


def _less(documents: list[Doc], number: int, effects_: list[RuleEffect]) -> list[Doc]:
    """The documents without these rules; the directions stay the policy's."""
    changed = copy.deepcopy(documents)
    spec = changed[number]["spec"]
    spec["types"] = sorted(Policy.of(documents[number]).types)
    for effect in sorted(effects_, key=lambda each: -each.rule):
        del spec[effect.direction.lower()][effect.rule]
    return changed


def _flow(effect: RuleEffect) -> Flow:
    w = effect.witness
    assert w is not None
    ends = (w.peer, w.own) if effect.direction == INGRESS else (w.own, w.peer)
    if w.protocol in ICMP:
        return Flow(4, *ends, w.protocol, icmp=(w.source_port, w.destination_port))
    return Flow(4, *ends, w.protocol, w.source_port, w.destination_port)


def _flows(case: Case, more: int) -> list[Flow]:
    source = Cases(random.Random(more))
    flows = [*case.flows, *(source.flow(case.endpoints) for _ in range(more))]
    return [flow for flow in flows if flow.protocol not in ICMP or flow.icmp is not None]


def cluster(seed: Any) -> Case:
    """Without Kubernetes' own policies, of which one rule may become several."""
    case = Cases(random.Random(seed)).case()
    case.documents = [each for each in case.documents if "Kubernetes" not in policy_kind(each)]
    return case


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**48))
def test_it_agrees_with_the_evaluator(seed: int) -> None:
    check(cluster(seed), 40)


@pytest.mark.long
def test_it_agrees_with_the_evaluator_on_1_500_clusters() -> None:
    met = [word for seed in range(1_500) for word in check(cluster(f"shadow {seed}"), 60)]
    assert min(met.count(word) for word in (EFFECTIVE, SHADOWED, REDUNDANT, NOTHING, UNSELECTED)) > 25
