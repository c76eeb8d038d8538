"""The pure parts of the policy editor: rule lines, the form, completion, order, impact, hits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_policy_world import DOCUMENTS, policy, tcp

from bascule.errors import UsageError
from bascule.policy.endpoints import Endpoint
from bascule.policy.shadow import SHADOWED
from bascule.resources.policy import EGRESS, INGRESS, Policy, policy_kind
from bascule_console.services.policychange import ChangeRefused, find, staged_twin, twins
from bascule_console.services.policycomplete import Known, complete_rule, complete_selector, complete_yaml, known
from bascule_console.services.policyform import PolicyForm, field_of, from_policy, to_policy
from bascule_console.services.policyhits import fold
from bascule_console.services.policyimpact import impact, in_force
from bascule_console.services.policyorder import moved, order_between, rule_moved
from bascule_console.services.policyrule import RuleError, line_of, parse_line
from bascule_console.services.policyshow import nic_policies
from bascule_console.store.policyworld import World

Doc = dict[str, Any]


def endpoint(name: str, number: int) -> Endpoint:
    labels = {
        "app": name, "projectcalico.org/namespace": "vms", "projectcalico.org/network": "dc1",
        "projectcalico.org/network-attachment": "vlan-110",
    }  # fmt: skip
    return Endpoint("vms", f"pod-{name}", "net", name, "net-0", "dc1", 110, (f"10.110.0.{number}",), labels)


WORLD = World([*DOCUMENTS], (endpoint("web", 11), endpoint("db", 12)), ())


@pytest.mark.parametrize(
    ("line", "direction", "rule"),
    [
        ("in Allow", INGRESS, {"action": "Allow"}),
        ("in allow TCP from app == 'web' ports 443,8000:8080", INGRESS,
         {"action": "Allow", "protocol": "TCP", "source": {"selector": "app == 'web'"},
          "destination": {"ports": [443, "8000:8080"]}}),
        ("out Deny udp to nets 10.0.0.0/8, 192.0.2.1 ports dns", EGRESS,
         {"action": "Deny", "protocol": "UDP", "destination": {"nets": ["10.0.0.0/8", "192.0.2.1"], "ports": ["dns"]}}),
        ("in Allow icmp/8/0", INGRESS, {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8, "code": 0}}),
        ("in Pass 132 from all() namespaces global()", INGRESS,
         {"action": "Pass", "protocol": 132, "source": {"namespaceSelector": "global()"}}),
        ("in Log from ports == 'x' && has(from)", INGRESS,
         {"action": "Log", "source": {"selector": "ports == 'x' && has(from)"}}),
    ],
)  # fmt: skip
def test_a_rule_line_is_a_rule_and_back(line: str, direction: str, rule: Doc) -> None:
    assert parse_line(line) == (direction, rule)
    assert parse_line(line_of(rule, direction)) == (direction, rule)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no rule"), ("allow tcp", "no rule"), ("in Permit", "Permit is no action"), ("in Allow to x", "with from"),
        ("out Allow from x", "with to"), ("in Allow quic", "no rule"), ("in Allow tcp ports", "no rule"),
    ],
)  # fmt: skip
def test_what_is_no_rule_line(line: str, why: str) -> None:
    with pytest.raises(RuleError, match=why):
        parse_line(line)


@given(st.text(max_size=60))
def test_any_line_is_a_rule_or_an_error(line: str) -> None:
    try:
        direction, rule = parse_line(f"in {line}")
    except RuleError:
        return
    assert direction == INGRESS and rule["action"]


def test_what_the_line_cannot_say_is_named_and_not_lost() -> None:
    for rule in (
        {"action": "Allow", "notProtocol": "TCP"},
        {"action": "Allow", "source": {"notNets": ["10.0.0.0/8"]}},
        {"action": "Allow", "protocol": "TCP", "source": {"ports": [1]}},
        {"action": "Allow", "destination": {"selector": "a == 'b'"}},
        {"action": "Allow", "source": {"nets": ["10.0.0.0/8"], "selector": "a == 'b'"}},
    ):
        line = line_of(rule, INGRESS)
        assert "[and " in line
        document = policy("NetworkPolicy", "p", ingress=[rule])
        _, beyond = from_policy(document)
        assert beyond.startswith("the form cannot say"), rule


@pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if policy_kind(each)], ids=lambda d: d["metadata"]["name"]
)
def test_a_policy_is_a_form_and_back(document: Doc) -> None:
    form, beyond = from_policy(document)
    assert beyond == ""
    again, mistakes = to_policy(form, document)
    assert not mistakes
    one, two = Policy.of(again), Policy.of(document)
    assert one == two or (one.staged, one.ref) == (two.staged, two.ref)


def test_the_form_says_which_field() -> None:
    form = PolicyForm(order="soon", state="maybe", rules="in Allow\n\nin Permit")
    _, mistakes = to_policy(form)
    assert {(each.field, each.line) for each in mistakes} == {("name", 0), ("order", 0), ("state", 0), ("rules", 3)}
    rules = PolicyForm(rules="out Allow\nin Allow\n\nin Deny")
    assert field_of("spec.ingress[1].source.nets[0]", rules) == ("rules", 4)
    assert field_of("spec.egress[0]", rules) == ("rules", 1)
    assert [field_of(path, rules)[0] for path in ("spec.tier", "spec.order", "metadata.name", "spec.selector")] == [
        "tier", "order", "name", "selector",
    ]  # fmt: skip
    for unable in ("StagedKubernetesNetworkPolicy",):
        assert from_policy(policy(unable, "p"))[1] == f"the form has no {unable}"
    assert "serviceAccountSelector" in from_policy(policy("NetworkPolicy", "p", serviceAccountSelector="x == 'y'"))[1]


def test_completion_offers_what_exists() -> None:
    have = known(WORLD, [{"metadata": {"name": "dc2"}}], [{"metadata": {"name": "vlan-120"}}])
    assert complete_yaml("  tier: se", have) == ["curity"]
    assert complete_yaml("  namespace: ", have) == ["vms"]
    assert complete_yaml("  - action: D", have) == ["eny"]
    assert complete_yaml("  selector: ap", have)[0] == "p == '"
    assert complete_yaml("  selector: app == '", have) == ["db'", "web'"]
    assert complete_yaml("  selector: projectcalico.org/network == 'd", have) == ["c1'", "c2'"]
    attachment = "projectcalico.org/network-attachment"
    assert complete_selector(f"{attachment} in {{'vlan-110', 'vlan-", have) == ["110'", "120'"]
    assert "p == 'web'" in complete_selector("ap", have), "a whole selector of another policy"
    assert complete_selector("team == 'w", have, "namespaceSelector") == ["eb'"]
    assert complete_rule("i", have) == ["n "]
    assert complete_rule("in De", have) == ["ny "]
    assert complete_rule("in Allow tcp fr", have) == ["om "]
    assert complete_rule("in Allow tcp from app == 'w", have) == ["eb'"]
    assert complete_selector("has(ap", have)[0] == "p)"
    assert complete_yaml("spec", Known()) == []


@given(st.text(max_size=40))
def test_completion_takes_anything(typed: str) -> None:
    have = known(WORLD)
    for found in (complete_yaml(typed, have), complete_rule(typed, have), complete_selector(typed, have)):
        assert all(found)


def test_order_between_neighbours() -> None:
    def at(order: Any, name: str = "x") -> Policy:
        return Policy.of(policy("GlobalNetworkPolicy", name, **({} if order is None else {"order": order})))

    assert order_between(None, None) == 100
    assert order_between(None, at(5)) == -5
    assert order_between(at(5), None) == order_between(at(5), at(None)) == 15
    assert order_between(at(1), at(2)) == 1.5
    assert order_between(at(1), at(100)) in range(2, 100)
    with pytest.raises(ChangeRefused, match="no place behind"):
        order_between(at(5, "a"), at(5, "b"))
    with pytest.raises(ChangeRefused, match="no place behind"):
        order_between(at(None), None)


def test_moving_a_policy_and_a_rule() -> None:
    names = ("a", "b", "c")
    world = World([policy("GlobalNetworkPolicy", name, order=10 * at) for at, name in enumerate(names)], (), ())
    order = [each.name for each in world.live.tiers[1].policies]
    assert order == [*names]
    up = moved(world, find(world, "c"), -1)
    after = world.policies([up])
    assert [each.name for each in after.tiers[1].policies] == ["a", "c", "b"]
    assert [each.name for each in world.policies([moved(world, find(world, "a"), 1)]).tiers[1].policies] == [
        "b",
        "a",
        "c",
    ]
    with pytest.raises(ChangeRefused, match="is first"):
        moved(world, find(world, "a"), -1)
    web = find(WORLD, "vms/web")
    rules = rule_moved(WORLD, web, INGRESS, 2, -1)["spec"]["ingress"]
    assert [rule["action"] for rule in rules] == ["Allow", "Allow", "Deny", "Allow"]
    with pytest.raises(ChangeRefused, match="last of ingress"):
        rule_moved(WORLD, web, INGRESS, 3, 1)


def test_finding_a_policy_by_name() -> None:
    assert find(WORLD, "web").ref == "NetworkPolicy/vms/web"
    assert find(WORLD, "web", staged=True).ref == "StagedNetworkPolicy/vms/web"
    assert find(WORLD, "lost").tier == "nowhere"
    for wanted in ("nobody", "other/web"):
        with pytest.raises(UsageError, match="there is no policy"):
            find(WORLD, wanted)
    assert set(twins(find(WORLD, "web"))) == {("NetworkPolicy", "vms", "web"), ("StagedNetworkPolicy", "vms", "web")}


def test_staging_and_promotion_are_each_others_inverse() -> None:
    for document in (each for each in DOCUMENTS if policy_kind(each) and "Staged" not in each["kind"]):
        staged = staged_twin(document)
        assert Policy.of(staged).staged == "Set"
        found = in_force(staged)
        assert found is not None and Policy.of(found) == Policy.of(document)
    assert in_force(staged_twin(DOCUMENTS[2], "Delete")) is None


def test_impact_without_traffic() -> None:
    proposal = policy(
        "StagedNetworkPolicy", "web", selector="app == 'db'", ingress=[tcp("Allow", 443), tcp("Deny", 443)]
    )
    found = impact(WORLD, proposal, None)
    assert (found.selected, found.gained, found.lost) == (("vms/db/net-0",), ("vms/db/net-0",), ("vms/web/net-0",))
    assert [each.effect.effect for each in found.rules if each.effect][1] == SHADOWED
    assert found.forecast is None and not found.refused
    assert "tier does not exist" in impact(WORLD, policy("GlobalNetworkPolicy", "x", tier="nowhere"), None).refused
    gone = impact(WORLD, policy("StagedNetworkPolicy", "web", stagedAction="Delete"), None)
    assert gone.selected == () and gone.lost == ("vms/web/net-0",)


def test_which_policies_apply_to_a_nic() -> None:
    assert nic_policies(WORLD, "vms", "web") == {"net-0": ["NetworkPolicy/vms/web", "StagedNetworkPolicy/vms/web"]}
    assert nic_policies(WORLD, "vms", "db") == {"net-0": []}


def test_hits_are_summed_over_nics_and_nodes() -> None:
    def rule(packets: int, index: int = 0, **more: Any) -> Doc:
        mine = {"kind": "NetworkPolicy", "namespace": "vms", "name": "web", "direction": "Ingress"}
        return {**mine, "rule_index": index, "packets": packets, **more}

    end = rule(4, -1, kind="EndOfTier", namespace="", name="default", field="NetworkPolicy/vms/web")
    nic = {"namespace": "vms", "vm": "web-1", "nic": "net-0", "state": "in force", "rules": [rule(3), rule(0, 1), end]}
    held = {**nic, "vm": "web-2", "state": "refused", "reason": "spec.selector: no", "rules": [rule(2)]}
    hits = fold({"node1": {"nics": [nic]}, "node2": {"nics": [held, "nonsense"]}, "node3": {}})
    web = ("NetworkPolicy", "vms", "web", "Ingress")
    assert hits.packets == {(*web, 0): 5, (*web, 1): 0, (*web, -1): 4}
    assert hits.nodes == ("node1", "node2", "node3") and hits.refused == {"vms/web-2/net-0": "spec.selector: no"}
    assert hits.of((*web, 7)) == 0 and fold({}).of((*web, 0)) is None
