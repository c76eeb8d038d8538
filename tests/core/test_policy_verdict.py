"""Two evaluators, one section 7: bascule.policy and a naive one that reads the documents itself agree on every verdict.

Also equal: what-if on records, and the compiled rows walked by a few lines here.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_policy_cases import Case, Cases
from tests_policy_naive import Naive

from bascule.flows.record import RECORD
from bascule.policy.compile import Compiler
from bascule.policy.flow import Flow
from bascule.policy.intervals import Ranges
from bascule.policy.layout import ALLOW, DENY, LOG, NOT_PROTO, PASS
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule.policy.whatif import WORDS, WhatIf
from bascule.resources.policy import EGRESS, INGRESS
from bascule.resources.policy_read import ICMP


def check(case: Case) -> None:
    """Every flow of the case, enforced and pending."""
    naive, policies = Naive(case.documents, case.endpoints), PolicySet.of(case.documents)
    assert not policies.refused
    for pending, mine in ((False, policies), (True, policies.with_staged())):
        judge = Judge(mine, case.endpoints)
        for flow in case.flows:
            assert judge.connection(flow).action == naive.connection(flow, pending), (pending, flow)


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 2**48))
def test_both_evaluators_agree(seed: int) -> None:
    check(Cases(random.Random(seed)).case())


@pytest.mark.long
def test_both_evaluators_agree_on_100_000_verdicts_and_more() -> None:
    for seed in range(10_000):
        check(Cases(random.Random(f"long {seed}")).case())


def records(flows: list[Flow]) -> Any:
    found = np.zeros(len(flows), RECORD)
    for at, flow in enumerate(flows):
        found["src_ip"][at] = list(flow.source.to_bytes(4, "big"))
        found["dst_ip"][at] = list(flow.destination.to_bytes(4, "big"))
        found["proto"][at] = flow.protocol
        found["src_port"][at], found["dst_port"][at] = flow.source_port, flow.destination_port
    return found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**48))
def test_what_if_agrees_and_names_the_rule(seed: int) -> None:
    case = Cases(random.Random(seed)).case(24)
    policies, flows = PolicySet.of(case.documents), [dataclasses.replace(flow, icmp=None) for flow in case.flows]
    judge, engine = Judge(policies, case.endpoints), WhatIf(policies, case.endpoints)
    judged = engine.judge(records(flows))
    for flow, verdict, rule in zip(flows, judged.verdict, judged.rule, strict=True):
        connection = judge.connection(flow)
        assert WORDS[verdict] == connection.action
        name = engine.rule_name(int(rule))
        sides = [side for side in (connection.source, connection.destination) if side is not None]
        last = [(hit.kind, hit.namespace, hit.name, hit.rule_index) for hit in (side.path[-1] for side in sides)]
        assert (name is None and not sides) or (name.kind, name.namespace, name.name, name.rule_index) in last  # type: ignore[union-attr]


def walk(rows: Any, flow: Flow, sets: dict[int, Ranges]) -> str:
    """What layout.py says a program does."""
    ports = flow.icmp if flow.protocol in ICMP else (flow.source_port, flow.destination_port)
    assert ports is not None
    at = 0
    while True:
        row = rows[at]
        at += 1
        same = row["proto"] == flow.protocol
        if row["proto"] and same == bool(row["flags"] & NOT_PROTO):
            continue
        if not (row["src_low"] <= ports[0] <= row["src_high"] and row["dst_low"] <= ports[1] <= row["dst_high"]):
            continue
        ends = ((row["src_set"], flow.source), (row["dst_set"], flow.destination))
        if any(i and not any(a <= ip <= b for a, b in sets[int(i)]) for i, ip in ends):
            continue
        if row["action"] in (ALLOW, DENY):
            return "allow" if row["action"] == ALLOW else "deny"
        if row["action"] == PASS:
            assert row["next"] >= at
            at = int(row["next"])
        else:
            assert row["action"] == LOG


def sets_of(compiler: Compiler) -> dict[int, Ranges]:
    """The sets as the LPM keys say."""
    used = {identity for program in compiler.programs.values() for identity in program.sets}
    found = {}
    for identity in used:
        keys = compiler.sets.prefixes(identity)
        assert (keys["set"] == identity).all()
        starts = [int.from_bytes(bytes(key["address"]), "big") for key in keys]
        found[identity] = tuple(
            (first, first + (1 << (64 - int(length))) - 1) for first, length in zip(starts, keys["length"], strict=True)
        )
    return found


def compiled_verdicts(compiler: Compiler, judge: Judge, flows: list[Flow]) -> None:
    sets = sets_of(compiler)
    for flow in flows:
        if flow.protocol in ICMP and flow.icmp is None:
            continue
        connection = judge.connection(flow)
        for side, direction in ((connection.source, EGRESS), (connection.destination, INGRESS)):
            if side is not None:
                program = compiler.programs[side.endpoint.key]
                rows = program.egress if direction == EGRESS else program.ingress
                assert walk(rows, flow, sets) == side.action


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**48))
def test_compiled_rows_agree(seed: int) -> None:
    case = Cases(random.Random(seed)).case(24)
    policies, compiler = PolicySet.of(case.documents), Compiler()
    compiler.load(policies, case.endpoints)
    compiled_verdicts(compiler, Judge(policies, case.endpoints), case.flows)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**48))
def test_programs_brought_up_to_date_are_those_of_a_fresh_compiler(seed: int) -> None:
    cases = Cases(random.Random(seed))
    case = cases.case(24)
    policies, compiler = PolicySet.of(case.documents), Compiler()
    held: dict[int, bytes] = {}
    endpoints = {endpoint.key: endpoint for endpoint in case.endpoints}
    updates = [compiler.load(policies, case.endpoints)]
    for _ in range(cases.r.randint(1, 6)):
        changed = cases.endpoint(cases.r.randrange(6))
        if cases.maybe(0.25):
            endpoints.pop(changed.key, None)
            updates.append(compiler.drop(changed.key))
        else:
            endpoints[changed.key] = changed
            updates.append(compiler.put(changed))
    for update in updates:
        held |= {identity: keys.tobytes() for identity, keys in update.sets.items()}
        for identity in update.stale:
            del held[identity]
    assert set(compiler.programs) == set(endpoints)
    assert {i: compiler.sets.prefixes(i).tobytes() for p in compiler.programs.values() for i in p.sets} == held
    compiled_verdicts(compiler, Judge(policies, endpoints.values()), case.flows)
    assert not compiler.load(policies, endpoints.values()).programs
