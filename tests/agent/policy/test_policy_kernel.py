"""Compiled policies, run by the kernel, against bascule.policy.verdict: random clusters, random packets, both ends."""

from __future__ import annotations

import random

import pytest
from tests.agent.policy.conftest import DROP, PASS, clean, put_in_force
from tests.support.tests_policy_cases import Cases

from bascule.policy.model import PolicySet
from bascule.policy.verdict import ALLOW, DENY, Judge
from bascule_agent.policy.enforce import Enforcer
from bascule_agent.policy.maps import PolicyMaps
from bascule_agent.policy.memory import Memory

pytestmark = pytest.mark.root


def compare(bench, tmp_path, seeds) -> int:
    judged = 0
    for seed in seeds:
        case = Cases(random.Random(seed)).case(flows=30)
        judge = Judge(PolicySet.of(case.documents), case.endpoints)
        for endpoint in [each for each in case.endpoints if each.ips]:
            bench.maps.close()
            clean(bench.objects)
            bench.maps, bench.slot = PolicyMaps(bench.objects), 0
            enforcer = Enforcer(bench.maps, Memory(tmp_path / f"{seed}.json"))
            enforcer.load(judge.policies, case.endpoints)
            if endpoint.key in enforcer.enforced.refused:
                continue
            put_in_force(bench, enforcer, case.documents, case.endpoints, endpoint)
            judged += sum(one(bench, enforcer, judge, endpoint, flow, seed) for flow in case.flows)
    return judged


def one(bench, enforcer, judge, endpoint, flow, seed) -> int:
    own = int.from_bytes(bytes(int(part) for part in endpoint.ips[0].split(".")), "big")
    done = 0
    for egress, mine, other in ((True, flow.source, flow.destination), (False, flow.destination, flow.source)):
        if mine != own or (egress and other >> 28 == 14) or (flow.protocol == 1 and flow.icmp is None):
            continue
        expected = judge.verdict(endpoint, "Egress" if egress else "Ingress", flow)
        assert expected.action in (ALLOW, DENY)
        bench.records()
        got = bench.run(flow, egress)
        assert got == (PASS if expected.action == ALLOW else DROP), (seed, endpoint.name, flow, expected.path)
        (record,) = bench.records()
        name = enforcer.rules.name(int(record["rule"]))
        last = expected.path[-1]
        assert record["verdict"] == (1 if expected.action == ALLOW else 2)
        assert name is not None and (name.kind, name.namespace, name.name, name.rule_index) == (
            last.kind, last.namespace, last.name, last.rule_index,
        ), (seed, flow, name, last)  # fmt: skip
        done += 1
    return done


def test_the_kernel_says_what_the_core_says(bench, tmp_path):
    assert compare(bench, tmp_path, range(12)) > 100


@pytest.mark.long
def test_the_kernel_says_what_the_core_says_a_thousand_times(bench, tmp_path):
    assert compare(bench, tmp_path, range(1000, 1300)) > 3000
