"""The traps of NSX rule bases (reference/anchors.md 4.5), each by its number, and documents that are wrong."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests_nsx_cases import GROUP

from bascule.policy.flow import Flow
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule.translate.calico import Translation, translate
from bascule.translate.model import RuleBase
from bascule.translate.nsx import read_nsx
from bascule.translate.proof import EQUAL, prove
from bascule.translate.rows import endpoint

ESTATE = Path(__file__).parents[2] / "examples/old-firewall/nsx.json"
Doc = dict[str, Any]


def condition(value: str, key: str = "Tag", operator: str = "EQUALS", member: str = "VirtualMachine") -> Doc:
    return {"resource_type": "Condition", "member_type": member, "key": key, "operator": operator, "value": value}


def group(name: str, *expression: Doc, **more: Any) -> Doc:
    return {"id": name, "path": GROUP + name, "display_name": name, "expression": list(expression), **more}


def rule(name: str, action: str = "ALLOW", source: str = "ANY", destination: str = "ANY", **more: Any) -> Doc:
    ends = [[each if each == "ANY" or each[0].isdigit() else GROUP + each] for each in (source, destination)]
    return {"id": name, "display_name": name, "action": action, "source_groups": ends[0], "destination_groups": ends[1],
            "services": ["ANY"], **more}  # fmt: skip


def policy(name: str, *rules: Doc, category: str = "Application", **more: Any) -> Doc:
    return {"id": name, "display_name": name, "category": category, "rules": list(rules), **more}


WEB, DB = group("web", condition("tier|web")), group("db", condition("tier|db"))
DEFAULT = policy("default-layer3-section", rule("default", "DROP"), sequence_number=2147483647)


def document(*policies: Doc, groups: tuple[Doc, ...] = (WEB, DB), **more: Any) -> Doc:
    """Two VMs, web-1 (10.0.0.1) and db-1 (10.0.0.2), with these policies and a default of DROP."""
    vms = [
        {"external_id": f"{tier}-id", "display_name": f"{tier}-1", "tags": [{"scope": "tier", "tag": tier}],
         "guest_info": {"os_name": "Debian", "computer_name": f"{tier}-host"}}
        for tier in ("web", "db")
    ]  # fmt: skip
    vnis = [
        {"owner_vm_id": f"{tier}-id", "ip_address_info": [{"ip_addresses": [f"10.0.0.{at}", "fe80::1"]}]}
        for at, tier in enumerate(("web", "db"), 1)
    ]
    resources = {"security_policies": [*policies, DEFAULT], "groups": list(groups)}
    return {"virtual_machines": vms, "virtual_network_interface": vnis, "domains": [{"resources": resources}], **more}


def carried(read: Doc) -> tuple[RuleBase, Translation]:
    base = read_nsx([("nsx", read)])
    translation = translate(base)
    proof = prove(base, translation)
    assert proof.verdict == EQUAL, (proof.counterexample, proof.reasons)
    return base, translation


def verdict(read: Doc, source: str, destination: str, port: int = 80, protocol: int = 6) -> str:
    base, translation = carried(read)
    judge = Judge(
        PolicySet.of(translation.documents), [endpoint(base, at, translation) for at in range(len(base.nics))]
    )
    return judge.connection(Flow.of(source, destination, protocol, port)).action


def kinds(read: Doc) -> set[str]:
    return {each.kind for each in translate(read_nsx([("nsx", read)])).leftovers}


WEB_1, DB_1, OUTSIDE = "10.0.0.1", "10.0.0.2", "198.51.100.1"


def test_trap_1_categories_come_in_their_order_and_jump_goes_to_application() -> None:
    early = policy("late in the file", rule("deny", "DROP"), category="Emergency")
    assert verdict(document(policy("allow", rule("allow")), early), WEB_1, DB_1) == "deny"
    jump = policy("env", rule("jump", "JUMP_TO_APPLICATION"), rule("never", "DROP"), category="Environment")
    assert verdict(document(jump, policy("app", rule("allow"))), WEB_1, DB_1) == "allow"


def test_trap_2_applied_to_of_the_policy_beats_the_rules() -> None:
    narrow = policy("p", rule("allow", scope=["ANY"]), scope=[GROUP + "db"])
    assert verdict(document(narrow), OUTSIDE, DB_1) == "allow"
    assert verdict(document(narrow), OUTSIDE, WEB_1) == "deny"
    beaten = policy("p", rule("allow", scope=[GROUP + "web"]), scope=[GROUP + "db"])
    assert verdict(document(beaten), OUTSIDE, WEB_1) == "deny"


def test_trap_3_both_ends_judge() -> None:
    assert verdict(document(policy("p", rule("in", direction="IN"))), WEB_1, DB_1) == "deny"
    assert verdict(document(policy("p", rule("out", direction="OUT"))), WEB_1, DB_1) == "deny"
    assert verdict(document(policy("p", rule("both", direction="IN_OUT"))), WEB_1, DB_1) == "allow"
    assert verdict(document(policy("p", rule("in", direction="IN"))), OUTSIDE, DB_1) == "allow"


def test_trap_4_equal_sequence_numbers_are_said() -> None:
    two = [policy(name, rule(name), sequence_number=7) for name in ("a", "b")]
    assert "order" in kinds(document(*two))
    assert "order" in kinds(document(policy("p", rule("a", sequence_number=1), rule("b", sequence_number=1))))
    assert "order" not in kinds(document(policy("p", rule("a", sequence_number=1), rule("b", sequence_number=2))))


@pytest.mark.parametrize(("word", "wanted"), [("ALLOWLIST", "deny"), ("DENYLIST_ENABLE_LOGGING", "allow")])
def test_trap_5_connectivity_preference_is_a_default_for_its_scope(word: str, wanted: str) -> None:
    ends = policy("p", rule("out", direction="OUT"), connectivity_preference=word, scope=[GROUP + "db"])
    read = document(ends)
    read["domains"][0]["resources"]["security_policies"][-1] = policy(
        "default-layer3-section", rule("default", "DROP" if wanted == "allow" else "ALLOW")
    )
    assert verdict(read, OUTSIDE, DB_1) == wanted
    assert verdict(read, OUTSIDE, WEB_1) != wanted


def test_trap_5_a_document_without_default_is_said() -> None:
    read = document(policy("p", rule("deny", "DROP", "web", "db")))
    read["domains"][0]["resources"]["security_policies"].pop()
    assert "default" in kinds(read)
    assert verdict(read, OUTSIDE, WEB_1) == "allow"


def test_trap_6_negated_groups() -> None:
    read = document(policy("p", rule("not web", "ALLOW", "web", sources_excluded=True)))
    assert verdict(read, OUTSIDE, DB_1) == "allow"
    assert verdict(read, WEB_1, DB_1) == "deny"


@pytest.mark.parametrize("key", ["stateful", "tcp_strict"])
def test_trap_7_stateless_is_said(key: str) -> None:
    assert key in kinds(document(policy("p", rule("a"), **{key: False})))


def test_trap_8_reject_denies_and_is_said() -> None:
    read = document(policy("p", rule("no", "REJECT"), rule("allow")))
    assert verdict(read, WEB_1, DB_1) == "deny" and "reject" in kinds(read)
    _, translation = carried(read)
    noted = [
        each["metadata"].get("annotations") for d in translation.documents for each in d["spec"].get("ingress", [])
    ]
    assert any(each and each.get("fw.bascule.dev/was") == "REJECT" for each in noted)


def test_trap_9_layer_2_rules_are_leftovers() -> None:
    base, translation = carried(
        document(policy("l2", rule("no IPX", "DROP"), category="Ethernet"), policy("p", rule("a")))
    )
    assert [each.rule for each in translation.leftovers if each.kind == "ethernet"] == ["no IPX"]
    assert all(each.id != "no IPX" for each in base.rules)


def test_trap_10_profiles_are_leftovers_with_their_effect() -> None:
    read = document(
        policy("p", rule("fqdn", profiles=["/infra/context-profiles/OFFICE"]), rule("any", profiles=["ANY"]))
    )
    found = [each for each in translate(read_nsx([("nsx", read)])).leftovers if each.kind == "profile"]
    assert [(each.rule, each.severity) for each in found] == [("fqdn", "error")]
    assert "later rules" in found[0].effect


def test_trap_11_identity_groups_are_empty_and_said() -> None:
    users = group("users", extended_expression=[{"resource_type": "IdentityGroupExpression"}])
    read = document(policy("p", rule("a", "ALLOW", "users")), groups=(users, DB))
    assert verdict(read, OUTSIDE, DB_1) == "deny" and "identity" in kinds(read)


def test_trap_12_algs_are_carried_with_their_control_port_only() -> None:
    entry = {"resource_type": "ALGTypeServiceEntry", "alg": "FTP", "destination_ports": ["21"]}
    ftp = [{"id": "ftp", "path": "/infra/services/ftp", "service_entries": [entry]}]
    read = document(policy("p", rule("ftp", services=["/infra/services/ftp"])), services=ftp)
    assert verdict(read, OUTSIDE, DB_1, 21) == "allow" and verdict(read, OUTSIDE, DB_1, 20) == "deny"
    assert "alg" in kinds(read)


def test_trap_13_names_of_systems_become_labels_that_must_be_kept_in_step() -> None:
    os = group("debians", condition("Debian", "OSName", "STARTSWITH"))
    hosts = group("hosts", condition("web-host", "ComputerName"))
    names = group("names", condition("web-", "Name", "STARTSWITH"))
    read = document(policy("p", rule("a", "ALLOW", "debians", "hosts")), groups=(os, hosts, names))
    assert verdict(read, DB_1, WEB_1) == "allow"
    found = {each.rule for each in carried(read)[1].leftovers if each.kind == "computed-group"}
    assert found == {"debians", "hosts"}
    by_name = document(policy("p", rule("a", "ALLOW", "ANY", "names")), groups=(names,))
    assert verdict(by_name, OUTSIDE, WEB_1) == "allow" and "computed-group" not in kinds(by_name)


def test_trap_14_ranges_are_exact() -> None:
    read = document(policy("p", rule("range", "ALLOW", "10.9.0.3-10.9.0.6")))
    for last, wanted in ((2, "deny"), (3, "allow"), (6, "allow"), (7, "deny")):
        assert verdict(read, f"10.9.0.{last}", DB_1) == wanted


def test_trap_15_a_tag_without_scope_is_not_a_tag_of_any_scope() -> None:
    for value, wanted in (("web", "allow"), ("tier|web", "allow"), ("|web", "deny"), ("tier|", "allow")):
        read = document(policy("p", rule("a", "ALLOW", "ANY", "g")), groups=(group("g", condition(value)),))
        assert verdict(read, OUTSIDE, WEB_1) == wanted, value


def test_trap_16_the_exclusion_list() -> None:
    listed = {"resource_type": "PolicyExcludeList", "members": [GROUP + "web"]}
    read = document(policy("p", rule("no", "DROP")), results=[listed])
    assert verdict(read, OUTSIDE, WEB_1) == "allow" and verdict(read, OUTSIDE, DB_1) == "deny"
    assert "excluded" in kinds(read)


def test_trap_17_a_vm_without_address_is_said_and_never_proven() -> None:
    read = document(policy("p", rule("a")))
    read["virtual_network_interface"][0]["ip_address_info"] = []
    base = read_nsx([("nsx", read)])
    assert "no-address" in {each.kind for each in base.leftovers}
    assert prove(base, translate(base)).verdict == "not proven"


def test_trap_18_ipv6_is_left_out_and_said() -> None:
    v6 = group("v6", {"resource_type": "IPAddressExpression", "ip_addresses": ["2001:db8::/32", "10.0.0.1"]})
    read = document(policy("p", rule("six", ip_protocol="IPV6"), rule("a", "ALLOW", "v6")), groups=(v6,))
    assert [each.kind for each in carried(read)[1].leftovers].count("ipv6") == 2
    assert verdict(read, WEB_1, OUTSIDE) == "allow"


def test_trap_19_a_trunk_segment_has_no_nad() -> None:
    trunk = {"id": "t", "path": "/infra/segments/t", "vlan_ids": ["0-4094"], "subnets": [{"network": "10.0.0.0/24"}]}
    on = group("on", {"resource_type": "PathExpression", "paths": ["/infra/segments/t"]})
    read = document(policy("p", rule("a", "ALLOW", "ANY", "on")), groups=(on,), segments=[trunk])
    assert "computed-group" in kinds(read)
    assert verdict(read, OUTSIDE, WEB_1) == "allow"


def test_trap_21_multicast_is_said() -> None:
    igmp = [{"id": "i", "path": "/infra/services/i", "service_entries": [{"resource_type": "IGMPTypeServiceEntry"}]}]
    assert "service" in kinds(document(policy("p", rule("a", services=["/infra/services/i"])), services=igmp))


def test_trap_25_long_port_lists_and_nested_services() -> None:
    many = {
        "resource_type": "L4PortSetServiceEntry",
        "l4_protocol": "TCP",
        "destination_ports": [str(p) for p in range(1, 400, 2)],
    }
    nested = {"resource_type": "NestedServiceServiceEntry", "nested_service_path": "/infra/services/many"}
    listed = [
        {"id": "many", "path": "/infra/services/many", "service_entries": [many]},
        {"id": "outer", "path": "/infra/services/outer", "service_entries": [nested]},
    ]
    read = document(policy("p", rule("a", services=["/infra/services/outer"])), services=listed)
    for port, wanted in ((1, "allow"), (2, "deny"), (399, "allow"), (401, "deny")):
        assert verdict(read, OUTSIDE, DB_1, port) == wanted


def test_all_shapes_read_alike() -> None:
    """np-guard's dump, the hierarchical answer and list answers."""
    dump = json.loads(ESTATE.read_text())
    resources = dump["domains"][0]["resources"]

    def child(kind: str, value: Doc) -> Doc:
        return {"resource_type": f"Child{kind}", kind: value}

    policies = [
        {**{k: v for k, v in each.items() if k != "rules"}, "children": [child("Rule", r) for r in each["rules"]]}
        for each in resources["security_policies"]
    ]
    services = [
        {**{k: v for k, v in s.items() if k != "service_entries"},
         "children": [child("ServiceEntry", e) for e in s["service_entries"]]}
        for s in dump["services"]
    ]  # fmt: skip
    inside = [child("SecurityPolicy", p) for p in policies] + [child("Group", g) for g in resources["groups"]]
    infra = {"resource_type": "Infra", "children": [
        *(child("Service", s) for s in services), *(child("Segment", s) for s in dump["segments"]),
        child("Domain", {"resource_type": "Domain", "id": "default", "children": inside}),
    ]}  # fmt: skip
    machines = {"results": dump["virtual_machines"], "cursor": ""}
    interfaces = {"results": dump["virtual_network_interface"]}
    hierarchical = read_nsx([("infra", infra), ("vms", machines), ("vnis", interfaces)])
    assert translate(hierarchical).documents == _without_positions(translate(read_nsx([("infra", dump)])), hierarchical)


def _without_positions(translation: Translation, other: RuleBase) -> tuple[Doc, ...]:
    """The documents with the places of the other shape put in."""
    places = {each.id: each.position for each in other.rules}
    sections = {s.name: s.position for stage in other.stages for s in stage.sections}
    documents = copy.deepcopy(translation.documents)
    for each in documents:
        noted = each["metadata"].get("annotations", {})
        if "fw.bascule.dev/section" in noted:
            noted["fw.bascule.dev/position"] = sections[noted["fw.bascule.dev/section"]]
        for entry in [*each["spec"].get("ingress", []), *each["spec"].get("egress", [])]:
            entry["metadata"]["annotations"]["fw.bascule.dev/position"] = places[
                entry["metadata"]["annotations"]["fw.bascule.dev/rule"]
            ]
    return documents


@pytest.mark.parametrize(
    ("change", "kind", "where"),
    [
        (lambda d: d["domains"][0]["resources"]["groups"].append(group("web")), "duplicate", "groups[2]"),
        (lambda d: d["domains"][0]["resources"]["groups"].append(
            group("a", {"resource_type": "PathExpression", "paths": [GROUP + "a"]})), "cycle", "groups[2]"),
        (lambda d: d["domains"][0]["resources"]["groups"].append(
            group("a", {"resource_type": "PathExpression", "paths": ["/gone"]})), "reference", "paths[0]"),
        (lambda d: d["domains"][0]["resources"]["security_policies"][0]["rules"][0].update(
            source_groups=[GROUP + "deleted"]), "reference", "source_groups[0]"),
        (lambda d: d["domains"][0]["resources"]["security_policies"][0]["rules"][0].update(
            services=["/infra/services/deleted"]), "reference", "services[0]"),
        (lambda d: d["domains"][0]["resources"]["security_policies"][0]["rules"][0].update(action="LIMIT"),
         "rule", "rules[0]"),
        (lambda d: d.update(results=[{"resource_type": "Alien"}]), "unknown-type", "results[0]"),
        (lambda d: d["domains"][0]["resources"]["groups"].append("text"), "document", "groups[2]"),
        (lambda d: d.update(services=[{"path": "/a", "service_entries": [
            {"resource_type": "NestedServiceServiceEntry", "nested_service_path": "/a"}]}]) or
         d["domains"][0]["resources"]["security_policies"][0]["rules"][0].update(services=["/a"]),
         "service", "service_entries[0]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_fact_with_its_place(change: Any, kind: str, where: str) -> None:
    read = document(policy("p", rule("a", "ALLOW", "web", "db"), rule("b")))
    change(read)
    found = [each for each in translate(read_nsx([("nsx", read)])).leftovers if each.kind == kind]
    assert any(where in each.position for each in found), found
    assert len({(each.position, each.what) for each in found}) == len(found)


def test_hundreds_of_mangled_documents_never_raise() -> None:
    dump = json.loads(ESTATE.read_text())
    draw = random.Random(11)
    for _ in range(300):
        mangled = copy.deepcopy(dump)
        for _ in range(draw.randint(1, 6)):
            _mangle(mangled, draw)
        base = read_nsx([("nsx", mangled)])
        assert isinstance(translate(base).documents, tuple)


def _mangle(value: Any, draw: random.Random) -> None:
    """Replace one thing somewhere in the document by another kind of thing."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = draw.choice(keys)
        if isinstance(value[key], (dict, list)) and value[key] and draw.random() < 0.8:
            value = value[key]
            continue
        value[key] = draw.choice(
            [None, 7, -1, "x", "", [], {}, [None], {"resource_type": "Rule"}, True, 1e9, ["ANY", 3]]
        )
        return
