"""Whatever stands in a document, policy is read, judged, compiled and linted without raising, and never half used."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_policy_cases import Case, Cases

from bascule.flows.record import RECORD
from bascule.lint import lint
from bascule.policy.compile import Compiler
from bascule.policy.endpoints import endpoints_of
from bascule.policy.forecast import forecast
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule.policy.whatif import WhatIf

KINDS = (
    *("NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "Tier", "Profile"),
    *("StagedKubernetesNetworkPolicy", "NetworkSet", "GlobalNetworkSet", "Namespace", "ServiceAccount", "Pod"),
)
WORDS = ("spec", "ingress", "egress", "source", "nets", "ports", "selector", "types", "tier", "order", "action", "from")
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6),
    st.sampled_from(("Allow", "TCP", "a == 'b'", "10.0.0.0/8", "1:2", "::/0", 10**400, "9" * 5000, "global()")),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=3), st.integers()), inner, max_size=4),
    ),
    max_leaves=10,
)


def use(documents: list[Any], case: Case) -> None:
    """Every way through the code."""
    policies = PolicySet.of(documents)
    for each in (policies, policies.with_staged()):
        judge = Judge(each, case.endpoints)
        for flow in case.flows:
            assert judge.connection(flow).action in ("allow", "deny", "unknown")
    Compiler().load(policies, case.endpoints)
    engine = WhatIf(policies, case.endpoints)
    forecast(np.zeros(2, RECORD), engine, engine)
    for finding in lint(documents):
        assert finding.id and finding.fix
    assert all(refused.reason and refused.ref for refused in policies.refused)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in paths(each, (*path, key)))]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), values, values, st.sampled_from(("projectcalico.org/v3", "networking.k8s.io/v1", "v1")))
def test_anything_at_all(kind: str, spec: Any, meta: Any, group: str) -> None:
    case = Cases(random.Random(1)).case(3)
    documents = [
        {"apiVersion": group, "kind": kind, "metadata": {"name": "n", "namespace": "red"}, "spec": spec},
        {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec},
        spec,
    ]
    use(documents, case)
    endpoints_of([each for each in documents if isinstance(each, dict)])


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_one_value_of_a_good_case_replaced(data: st.DataObject) -> None:
    case = Cases(random.Random(data.draw(st.integers(0, 2000)))).case(3)
    documents: Any = copy.deepcopy(case.documents)
    path = data.draw(st.sampled_from(paths(documents)[1:]))
    target = documents
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = data.draw(values)
    use(documents, case)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_policy_with_any_fault_is_refused_as_a_whole(data: st.DataObject) -> None:
    case = Cases(random.Random(data.draw(st.integers(0, 2000)))).case(0)
    documents: Any = copy.deepcopy(case.documents)
    path = data.draw(st.sampled_from(paths(documents)[1:]))
    target = documents
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = data.draw(values)
    policies = PolicySet.of(documents)
    assert not any(policy.faults for policy in policies.policies)
    used = {policy.identity for tier in policies.tiers for policy in tier.policies}
    assert not used & {each.policy.identity for each in policies.refused if each.policy}
