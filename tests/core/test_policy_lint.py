"""Every policy rule fires at its field, a good policy is clean, and what lint calls an error is what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_policy_cases import Cases

from bascule.lint import RULES, lint
from bascule.policy.model import PolicySet

Doc = dict[str, Any]
V3 = "projectcalico.org/v3"
RULE: Doc = {
    "action": "Allow",
    "protocol": "TCP",
    "source": {"selector": "app == 'web'"},
    "destination": {"ports": [5432]},
}


def policy(kind: str = "NetworkPolicy", **spec: Any) -> Doc:
    meta = {"name": "db"} if "Global" in kind else {"name": "db", "namespace": "vms"}
    return {"apiVersion": V3, "kind": kind, "metadata": meta, "spec": {"selector": "app == 'db'", **spec}}


def ruled(**changes: Any) -> Doc:
    return policy(ingress=[{**copy.deepcopy(RULE), **changes}])


def kube(**spec: Any) -> Doc:
    meta = {"name": "db", "namespace": "vms"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": {"podSelector": {}, **spec},
    }


def tier(**spec: Any) -> Doc:
    return {"apiVersion": V3, "kind": "Tier", "metadata": {"name": spec.pop("name", "early")}, "spec": spec}


def netset(**spec: Any) -> Doc:
    return {
        "apiVersion": V3,
        "kind": "GlobalNetworkSet",
        "metadata": {"name": "out", "labels": {"app": "web"}},
        "spec": spec,
    }


IN = "spec.ingress[0]"
CASES: list[tuple[str, str, Doc]] = [
    ("policy-selector", "spec.selector", policy(selector="app = 'db'")),
    ("policy-selector", "spec.selector", policy(selector="global()")),
    ("policy-selector", f"{IN}.source.selector", ruled(source={"selector": "a == b"})),
    ("policy-selector", f"{IN}.source.selector", ruled(source={"selector": f"a == '{'x' * 1024}'"})),
    ("policy-selector", f"{IN}.source.serviceAccounts.selector", ruled(source={"serviceAccounts": {"selector": "a"}})),
    ("policy-selector", "spec.podSelector.matchExpressions[0].values",
     kube(podSelector={"matchExpressions": [{"key": "a", "operator": "In"}]})),
    ("policy-selector", f"{IN}.from[0]", kube(ingress=[{"from": [{}]}])),
    ("policy-tier", "spec.tier", policy(tier="early")),
    ("policy-order", "spec.order", policy(order="1")),
    ("policy-order", "spec.order", policy(order=float("nan"))),
    ("policy-order", "spec.order", policy(order=10**400)),
    ("policy-types", "spec.types[0]", policy(types=["ingress"])),
    ("policy-types", "spec.policyTypes[0]", kube(policyTypes=["Both"])),
    ("policy-direction-dead", "spec.ingress", policy(types=["Egress"], ingress=[RULE])),
    ("policy-action", f"{IN}.action", ruled(action="allow")),
    ("policy-staged", "spec.stagedAction", policy("StagedNetworkPolicy", stagedAction="Go")),
    ("policy-protocol", f"{IN}.protocol", ruled(protocol="TPC")),
    ("policy-protocol", f"{IN}.notProtocol", ruled(notProtocol=256)),
    ("policy-protocol", f"{IN}.ipVersion", ruled(ipVersion=5)),
    ("policy-port", f"{IN}.destination.ports[0]", ruled(destination={"ports": [70000]})),
    ("policy-port", f"{IN}.destination.ports[1]", ruled(destination={"ports": [80, "90:80"]})),
    ("policy-port", f"{IN}.ports[0].port", kube(ingress=[{"ports": [{"port": "web", "endPort": 90}]}])),
    ("policy-ports-protocol", f"{IN}.destination.ports", ruled(protocol=None)),
    ("policy-ports-protocol", f"{IN}.source.notPorts", ruled(protocol=1, source={"notPorts": [1]}, destination={})),
    ("policy-icmp", f"{IN}.icmp", ruled(icmp={"type": 8})),
    ("policy-icmp", f"{IN}.icmp.code", ruled(protocol="ICMP", destination={}, icmp={"code": 8})),
    ("policy-icmp", f"{IN}.icmp.type", ruled(protocol="ICMP", destination={}, icmp={"type": 255})),
    ("policy-net", f"{IN}.source.nets[0]", ruled(source={"nets": ["10.0.0.0/33"]})),
    ("policy-net", f"{IN}.source.nets[0]", ruled(source={"nets": ["10.0.0.0/255.0.0.0"]})),
    ("policy-net", f"{IN}.from[0].ipBlock.except[0]",
     kube(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10"]}}]}])),
    ("policy-families", IN, ruled(source={"nets": ["10.0.0.0/8", "::/0"]})),
    ("policy-families", IN, ruled(ipVersion=6, source={"notNets": ["10.0.0.0/8"]})),
    ("policy-size", f"{IN}.source.nets", ruled(source={"nets": ["10.0.0.0/8"] * 257})),
    ("policy-size", f"{IN}.destination.ports", ruled(destination={"ports": list(range(1, 52))})),
    ("policy-size", "spec.egress", policy(egress=[{"action": "Log"}] * 1025)),
    ("policy-unsupported", f"{IN}.http", ruled(http={"methods": ["GET"]})),
    ("policy-unsupported", f"{IN}.source.services", ruled(source={"services": {"name": "a"}})),
    ("policy-rule-shadowed", "spec.ingress[1]", policy(ingress=[{"action": "Deny"}, RULE])),
    ("tier-order", "spec.order", tier(order="first")),
    ("tier-default-action", "spec.defaultAction", tier(defaultAction="Allow")),
    ("tier-fixed", "spec.order", tier(name="default", order=1)),
    ("set-net", "spec.nets[0]", netset(nets=["10.0.0.0/8/8"])),
    ("set-domains", "spec.allowedEgressDomains", netset(allowedEgressDomains=["example.org"])),
    ("field-type", IN, policy(ingress=[1])),
    ("field-type", f"{IN}.source.nets", ruled(source={"nets": "10.0.0.0/8"})),
    ("unknown-field", f"{IN}.source.selektor", ruled(source={"selektor": "all()"})),
]  # fmt: skip


@pytest.mark.parametrize(("identity", "field", "document"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)])
def test_the_rule_finds_the_fault_at_its_field(identity: str, field: str, document: Doc) -> None:
    found = [finding for finding in lint([document]) if finding.id == identity]
    assert [finding.field for finding in found] == [field]
    assert all(finding.evidence and finding.fix.endswith(".") and finding.message for finding in found)
    errors = {finding.id for finding in lint([document]) if finding.severity == "error"} - {"unknown-field"}
    refused = PolicySet.of([document]).refused
    assert bool(refused) == bool(errors or identity == "policy-unsupported")


def test_a_selector_fault_names_the_character() -> None:
    (finding,) = lint([policy(selector="app = 'db'")])
    assert finding.message == "does not parse at character 5: expected =="


def test_a_broken_set_refuses_the_policies_that_ask_for_it() -> None:
    documents = [policy("GlobalNetworkPolicy", ingress=[RULE]), netset(nets=["ten"])]
    assert [(f.id, f.object, f.field) for f in lint(documents)] == [
        ("policy-set", "GlobalNetworkPolicy/db", "spec.ingress[0]"),
        ("set-net", "GlobalNetworkSet/out", "spec.nets[0]"),
    ]
    assert {each.ref for each in PolicySet.of(documents).refused} == {"GlobalNetworkPolicy/db", "GlobalNetworkSet/out"}
    assert not lint([ruled()], context=[netset(nets=["ten"])])  # a namespaced rule does not reach a global set


def test_every_policy_rule_has_a_case() -> None:
    mine = {rule.id for rule in RULES if rule.id.startswith(("policy-", "tier-", "set-"))}
    assert mine == {identity for identity, _, _ in CASES if "-" in identity and identity in mine} | {"policy-set"}


def test_good_ones_are_clean() -> None:
    good = [
        policy(tier="early", order=1.5, ingress=[RULE], types=["Ingress"]),
        {**kube(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": "web"}]}])},
        tier(order=10, defaultAction="Pass"),
        netset(nets=["192.0.2.0/24", "2001:db8::1"]),
        policy("StagedGlobalNetworkPolicy", namespaceSelector="all()", stagedAction="Delete"),
    ]
    assert lint(good) == []
    assert lint([good[0]], context=[good[2]]) == []


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**40))
def test_what_the_generator_makes_is_valid_for_lint_too(seed: int) -> None:
    import random

    documents = Cases(random.Random(seed)).case().documents
    unique = {(d["apiVersion"], d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]): d for d in documents}
    assert [finding for finding in lint(unique.values()) if finding.severity == "error"] == []
