"""CEL: rules of CRDs and of admission policies, evaluated; what cannot be is named, never skipped silently."""

from __future__ import annotations

from typing import Any

import pytest

from bascule_lab.apiserver import rules
from bascule_lab.apiserver.cel_values import bind, cannot_run, evaluate

TEXT, COUNT = {"type": "string"}, {"type": "integer"}
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
VAP = "/apis/admissionregistration.k8s.io/v1"
THINGS = "/apis/h9.example.com/v1/things"


def schema(rule: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule, **more}]}


def say(shape: dict[str, Any], value: Any, old: Any = rules.MISSING) -> list[str]:
    return [str(error) for error in rules.check(shape, value, old, "spec")]


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ("self.a <= self.b", {"a": 1, "b": 2}, True),
        ("self.a <= self.b", {"a": 3, "b": 2}, False),
        ("!has(self.b) || self.b > 0", {"a": 1}, True),
        ("self.l.all(x, x.startsWith('n'))", {"l": ["n1", "m"]}, False),
        ("self.l.exists_one(x, x == 'm')", {"l": ["n1", "m"]}, True),
        ("self.f > 1.5", {"f": 2}, True),
        ("size(self.l) == self.l.size()", {"l": []}, True),
        ("self.s.matches('^[a-z]+$')", {"s": "UP"}, False),
        ("self.t > timestamp('2020-01-01T00:00:00Z')", {"t": "2026-01-01T00:00:00Z"}, True),
        ("self.__namespace__ == 'x' && self.a__dash__b == 1", {"namespace": "x", "a-b": 1}, True),
    ],
)
def test_rules_of_the_base_language(rule, value, holds):
    properties = {"a": COUNT, "b": COUNT, "l": {"type": "array", "items": TEXT}, "f": {"type": "number"}, "s": TEXT}
    properties |= {"t": {"type": "string", "format": "date-time"}, "namespace": TEXT, "a-b": COUNT}
    wanted = [] if holds else [f'spec: Invalid value: "object": failed rule: {rule}']
    assert say(schema(rule, properties), value) == wanted


def test_messages_reasons_and_field_paths():
    properties = {"a": COUNT}
    shape = schema("self.a > 1", properties, message="too small", fieldPath=".a", reason="FieldValueForbidden")
    assert say(shape, {"a": 1}) == ["spec.a: Forbidden: too small"]
    shape = schema("self.a > 1", properties, message="m", messageExpression="'a is ' + string(self.a)")
    assert say(shape, {"a": 1}) == ['spec: Invalid value: "object": a is 1']
    shape = schema("self.a > 1", properties, message="m", messageExpression="string(self.missing)")
    assert say(shape, {"a": 1}) == ['spec: Invalid value: "object": m']
    assert "no such key: b" in say(schema("self.b > 1", properties), {"a": 1})[0]


def test_transition_rules_find_old_items_by_key_and_never_in_atomic_lists():
    item = schema("self.v >= oldSelf.v", {"k": TEXT, "v": COUNT})
    keyed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    old, new = [{"k": "a", "v": 5}, {"k": "b", "v": 1}], [{"k": "b", "v": 2}, {"k": "a", "v": 4}, {"k": "c", "v": 0}]
    assert [text.partition(":")[0] for text in say(keyed, new, old)] == ["spec[1]"]
    assert say({"type": "array", "items": item}, new, old) == [] and say(keyed, new) == []


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("quantity(self.a).isGreaterThan(quantity('1'))", "no function isGreaterThan, quantity here"),
        ("self.s.find('x') == ''", "no function find here"),
        ("cel.bind(x, 1, x + 1) == 2", "no function bind here"),
        ("self.?a.orValue(1) == 1", "unsupported syntax"),
        ("self.(", "Failed to parse"),
        ("self.a == 1", ""),
    ],
)
def test_what_cannot_be_run_is_known_before(rule, why):
    assert (why in cannot_run(rule)) and bool(cannot_run(rule)) is bool(why)
    named = list(rules.unchecked({"type": "object", "properties": {"x": schema(rule, {})}}))
    assert [rule in text and text.startswith("x: ") for text in named] == ([True] if why else [])


def test_numbers_are_bound_by_schema():
    bound = bind({"properties": {"i": COUNT, "n": {"type": "number"}}}, {"i": 2.0, "n": 2})
    assert (type(bound["i"]), type(bound["n"])) == (int, float) and evaluate("self.i == 2", {"self": bound}) is True


def things(shape: dict[str, Any]) -> dict[str, Any]:
    root = {"type": "object", "properties": {"spec": shape}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}
    spec = {"group": "h9.example.com", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "spec": {**spec, "versions": [version]},
    }
    return {**crd, "metadata": {"name": "things.h9.example.com"}}


def thing(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "h9.example.com/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec}


async def test_rules_run_on_every_write(api):
    admin = api.client()
    shape = schema("self.a <= 3", {"a": COUNT}, message="a must not exceed 3")
    made = await admin("POST", CRD_PATH, things(shape))
    assert made.code == 201 and made.warnings == []
    assert (await admin("POST", THINGS, thing("t", a=3))).code == 201
    for answer in (
        await admin("POST", THINGS, thing("u", a=4)),
        await admin.merge(f"{THINGS}/t", {"spec": {"a": 4}}),
        await admin("PATCH", f"{THINGS}/t?fieldManager=x&force=true", thing("t", a=4), "application/apply-patch+yaml"),
    ):
        assert answer.code == 422 and answer.body["details"]["causes"] == [
            {"reason": "FieldValueInvalid", "message": 'Invalid value: "object": a must not exceed 3', "field": "spec"}
        ]


async def test_admission_policies_deny_warn_and_name_what_they_cannot(api):
    admin = api.client()
    await admin("POST", CRD_PATH, things({"type": "object", "properties": {"a": COUNT}}))
    rule = {"apiGroups": ["h9.example.com"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["things"]}
    validations = [
        {"expression": "object.metadata.name.startsWith('ok')", "message": "bad name"},
        {"expression": "variables.x > 1"},
    ]
    spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": validations}
    policy = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "spec": spec}
    made = await admin("POST", f"{VAP}/validatingadmissionpolicies", {**policy, "metadata": {"name": "p"}})
    assert made.code == 201, made.body
    assert (await admin("POST", THINGS, thing("free"))).code == 201, "a policy without binding does nothing"
    bound = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding"}
    bound |= {"metadata": {"name": "p"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}
    await admin("POST", f"{VAP}/validatingadmissionpolicybindings", bound)
    denied = await admin("POST", THINGS, thing("wrong"))
    assert denied.code == 422 and "bad name" in denied.body["message"]
    right = await admin("POST", THINGS, thing("ok"))
    assert right.code == 201 and any("variables.x > 1" in text for text in right.warnings)
    assert (await admin.merge(f"{THINGS}/free", {"spec": {"a": 1}})).code == 200, "only CREATE is matched"
    await admin.merge(f"{VAP}/validatingadmissionpolicybindings/p", {"spec": {"validationActions": ["Warn"]}})
    warned = await admin("POST", THINGS, thing("wrong"))
    assert warned.code == 201 and any("bad name" in text for text in warned.warnings)


async def test_selectable_fields_printer_columns_and_scale_of_a_crd(api):
    admin = api.client()
    crd = things({"type": "object", "properties": {"n": COUNT, "color": TEXT}})
    version = crd["spec"]["versions"][0]
    version["selectableFields"] = [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.n"}]
    version["subresources"] = {"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}
    assert (await admin("POST", CRD_PATH, crd)).code == 201
    for name, color, count in (("a", "red", 1), ("b", "blue", 2)):
        await admin("POST", THINGS, thing(name, color=color, n=count))
    for selector, found in (("spec.color%3Dred", ["a"]), ("spec.color!%3Dred", ["b"]), ("spec.n%3D2", ["b"])):
        listed = await admin("GET", f"{THINGS}?fieldSelector={selector}")
        assert [item["metadata"]["name"] for item in listed.body["items"]] == found
    scale = (await admin("GET", f"{THINGS}/a/scale")).body
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 1})
    changed = await admin.merge(f"{THINGS}/a/scale", {"spec": {"replicas": 5}})
    assert changed.body["spec"] == {"replicas": 5}
    stored = (await admin("GET", f"{THINGS}/a")).body
    assert stored["spec"]["n"] == 5 and stored["metadata"]["generation"] == 2
    assert (await admin.merge(f"{THINGS}/a/scale", {"spec": {"replicas": -1}})).code == 422
    stale = {**scale, "spec": {"replicas": 7}}
    assert (await admin("PUT", f"{THINGS}/a/scale", stale)).code == 409
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = [{"name": "X", "type": "string", "jsonPath": ".a["}]
    crd["metadata"]["resourceVersion"] = (await admin("GET", f"{CRD_PATH}/things.h9.example.com")).body["metadata"][
        "resourceVersion"
    ]
    wrong = await admin("PUT", f"{CRD_PATH}/things.h9.example.com", crd)
    assert wrong.code == 422 and "is not understood" in wrong.body["message"]
