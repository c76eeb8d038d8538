"""The differential test can fail: every one of these bugs, put into the real evaluator one at a time, is found by it.

A bug is a text replaced in a module; the package is imported anew with it and judged by the naive evaluator's answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import ModuleType

import pytest
from tests_mutants import Mutant, imported_anew
from tests_policy_cases import Case, Cases
from tests_policy_naive import Naive

MODULES = "bascule.policy.model", "bascule.policy.verdict"
PREFIXES = ("bascule.policy", "bascule.resources.policy", "bascule.selectors")
CASES_TRIED = 1500

# (name, module, what stands there, the bug)
BUGS = [
    ("ties between policies are not by name", "resources.policy", "self.order, self.name, ", "self.order, "),
    (
        "a policy without order comes first",
        "resources.policy_read",
        "            return math.inf\n",
        "            return 0.0\n",
    ),
    ("tiers by name", "policy.model", "(tier.order, tier.name)", "(tier.name, tier.order)"),
    (
        "Pass goes to the profiles",
        "policy.verdict",
        'if action != "Pass":',
        'if action == "Pass":\n                break\n            else:',
    ),
    (
        "Log ends evaluation",
        "policy.verdict",
        'if action != "Log":\n                    return action\n        default',
        "return action\n        default",
    ),
    (
        "a tier's default action is always Deny",
        "resources.policy_sets",
        'action = spec.get("defaultAction", DENY)',
        "action = DENY",
    ),
    ("the end of a tier passes", "policy.verdict", "        return default\n", '        return "Pass"\n'),
    ("a tier without policies counts", "policy.model", "            if policies:\n", "            if each.policies:\n"),
    ("types: egress rules alone give both", "resources.policy", "if ingress or not egress else []", "if True else []"),
    ("types are ignored", "policy.model", "if direction in policy.types and ", "if "),
    ("staged policies are enforced", "policy.model", "[policy for policy in usable if not policy.staged]", "usable"),
    (
        "a staged Delete does nothing",
        "policy.model",
        'if policy.staged in ("Set", "Delete"):',
        'if policy.staged == "Set":',
    ),
    ("host policies apply to workloads", "policy.model", "if not policy.host_only:", "if True:"),
    (
        "notSelector matches odd addresses",
        "policy.match",
        "and peers.match(side.not_selector, address):",
        "and (peers.match(side.not_selector, address) or address[1] % 2):",
    ),
    ("notNets are ignored", "policy.match", "if _within(side.not_nets, address):", "if False:"),
    (
        "a namespaced rule's selector reaches everywhere",
        "resources.policy_rule",
        "scope.conjunction(scope.in_namespace(namespace), who)",
        "who",
    ),
    (
        "global() is everything",
        "resources.policy_scope",
        'Not(Has(NAMESPACE)) if selector.name == "global"',
        'Everything() if selector.name == "global"',
    ),
    ("a range without its last port", "policy.match", "low <= port <= high", "low <= port < max(high, low + 1)"),
    ("notPorts are ports", "policy.match", "or not _port(side.not_ports", "or _port(side.not_ports"),
    ("the ICMP code is ignored", "policy.match", "and criterion.code in (None, icmp[1])", ""),
    (
        "notICMP is ignored",
        "policy.match",
        "return wanted and (rule.not_icmp is None or not _is(rule.not_icmp, flow.icmp))",
        "return wanted",
    ),
    ("notProtocol is ignored", "policy.match", "or rule.not_protocol == flow.protocol", ""),
    ("ipVersion is ignored", "policy.match", "rule.ip_version not in (None, flow.version)", "False"),
    (
        "source and destination ports are swapped",
        "policy.match",
        "(rule.source, flow.source, flow.source_port)",
        "(rule.source, flow.source, flow.destination_port)",
    ),
    (
        "a named port of any protocol",
        "policy.peers",
        "(name, protocol, port) in endpoint.ports",
        "(name, port) in [(n, q) for n, _, q in endpoint.ports]",
    ),
    (
        "service account names are ignored",
        "resources.policy_rule",
        "scope.conjunction(account, scope.account_in(texts), own)",
        "scope.conjunction(account, own)",
    ),
    (
        "a namespace's own name is no label",
        "resources.policy_scope",
        "{**(namespace_labels or {}), OBJECT_NAME: namespace}",
        "{**(namespace_labels or {})}",
    ),
    ("only the destination judges", "policy.verdict", "self.verdict(source, EGRESS, flow) if source else None", "None"),
    ("network sets have no nets", "policy.peers", "yield at\n\n", "return\n\n"),
    (
        "ipBlock's except is ignored",
        "resources.policy_kubernetes",
        "for at, cidr in enumerate(excepted)",
        "for at, cidr in enumerate(excepted[:0])",
    ),
    ("endPort is ignored", "resources.policy_kubernetes", "(port[0], last[1])", "(port[0], port[1])"),
    (
        "a Kubernetes peer matches network sets",
        "resources.policy_kubernetes",
        "pods = scope.conjunction(_PODS, _labels",
        "pods = scope.conjunction(None, _labels",
    ),
    (
        "a missing label is not unequal",
        "selectors.ast",
        'return self.operator == "!=" if have is None',
        "return False if have is None",
    ),
    (
        "|| binds like &&",
        "selectors.parser",
        "            operands.append(self.both(depth))\n",
        "            operands.append(self.operation(depth))\n",
    ),
]


class Answers:
    """Cases with the naive verdicts, enforced for each flow, then pending; worked out when first asked for."""

    def __init__(self) -> None:
        self._known: list[tuple[Case, list[str]]] = []

    def first(self, count: int) -> Iterator[tuple[Case, list[str]]]:
        for at in range(count):
            if at == len(self._known):
                case = Cases(random.Random(f"mutants {at}")).case()
                naive = Naive(case.documents, case.endpoints)
                words = [naive.connection(flow, pending) for pending in (False, True) for flow in case.flows]
                self._known.append((case, words))
            yield self._known[at]


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


def differs(model: ModuleType, verdict: ModuleType, case: Case, wanted: list[str]) -> bool:
    """Another verdict, or none at all."""
    try:
        policies = model.PolicySet.of(case.documents)
        judges = [verdict.Judge(each, case.endpoints) for each in (policies, policies.with_staged())]
        return [judge.connection(flow).action for judge in judges for flow in case.flows] != wanted
    except Exception:
        return True


@pytest.mark.parametrize(("module", "old", "new"), [bug[1:] for bug in BUGS], ids=[bug[0] for bug in BUGS])
def test_a_seeded_bug_is_found(module: str, old: str, new: str, answers: Answers) -> None:
    with imported_anew(Mutant(module, old, new), PREFIXES, *MODULES) as (model, verdict):
        assert any(differs(model, verdict, case, wanted) for case, wanted in answers.first(CASES_TRIED))


def test_without_a_bug_there_is_no_difference(answers: Answers) -> None:
    with imported_anew(Mutant("policy.match", "return None", "return None"), PREFIXES, *MODULES) as (model, verdict):
        assert not any(differs(model, verdict, case, wanted) for case, wanted in answers.first(100))
