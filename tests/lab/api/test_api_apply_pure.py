"""Field sets, merging and ownership without a server: the algebra of server-side apply."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_lab.apiserver.apply import managers
from bascule_lab.apiserver.apply.managers import APPLY, UPDATE, Entry
from bascule_lab.apiserver.apply.merging import merge
from bascule_lab.apiserver.apply.ownership import after_apply, after_update
from bascule_lab.apiserver.apply.paths import decode_set, encode_set, prefixes, show_path
from bascule_lab.apiserver.apply.typed import MISSING, DuplicateItem, compare, field_set
from bascule_lab.apiserver.status import ApiError

PORTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}},
}
TAGS = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
SPEC = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"},
        "ports": PORTS,
        "tags": TAGS,
        "plain": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "integer"}}},
    },
}
ROOT = {"type": "object", "properties": {"spec": SPEC, "metadata": {"type": "object"}}}

NAMES = st.sampled_from(["a", "b", "c", "d"])
ITEMS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"port": st.integers(1, 3)}), unique_by=lambda i: i["name"]
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 3),
        "ports": ITEMS,
        "tags": st.lists(NAMES, unique=True),
        "plain": st.lists(NAMES, max_size=3),
        "labels": st.dictionaries(NAMES, NAMES),
        "whole": st.fixed_dictionaries({"a": st.integers(0, 2)}),
    },
)
DOCUMENTS = st.builds(lambda spec: {"spec": spec}, SPECS)


def applier(name: str) -> Entry:
    return Entry(name, APPLY, "v1", "", "2026-01-01T00:00:00Z")


def run(live: Any, config: Any, entries: list[Entry], name: str, force: bool = False) -> tuple[Any, list[Entry]]:
    live, config = copy.deepcopy(live), copy.deepcopy(config)
    return after_apply(ROOT, live, config, entries, applier(name), False, force)


def owned(entries: list[Entry], name: str) -> list[str]:
    return sorted(show_path(path) for entry in entries if entry.manager == name for path in entry.fields)


def test_fields_v1_is_written_as_kubernetes_writes_it():
    document = {"spec": {"replicas": 1, "ports": [{"name": "http", "port": 80}], "tags": ["x"], "labels": {"a": "b"}}}
    document["spec"]["plain"] = ["p"]
    wanted = {
        "f:spec": {
            "f:labels": {"f:a": {}},
            "f:plain": {},
            "f:ports": {'k:{"name":"http"}': {".": {}, "f:name": {}, "f:port": {}}},
            "f:replicas": {},
            "f:tags": {'v:"x"': {}},
        }
    }
    assert encode_set(field_set(ROOT, document)) == wanted
    assert list(wanted["f:spec"]) == list(encode_set(field_set(ROOT, document))["f:spec"])


@given(DOCUMENTS)
def test_a_set_survives_its_encoding(document):
    paths = field_set(ROOT, document)
    assert decode_set(json.loads(json.dumps(encode_set(paths)))) == paths


@pytest.mark.parametrize("tree", [[], {"f:a": 1}, {"x": {}}, {"f:a": {"q:b": {}}}])
def test_what_is_no_set_is_refused(tree):
    with pytest.raises(ValueError):
        decode_set(tree)


@given(DOCUMENTS)
def test_an_apply_done_twice_changes_nothing(config):
    once, entries = run({}, config, [], "a")
    twice, again = run(once, config, entries, "a")
    assert twice == once and {e.fields for e in again} == {e.fields for e in entries}
    assert field_set(ROOT, once) >= field_set(ROOT, config)


@given(DOCUMENTS, DOCUMENTS)
def test_one_applier_alone_gets_what_it_states_and_nothing_else(first, second):
    live, entries = run({}, first, [], "a")
    live, entries = run(live, second, entries, "a")
    assert field_set(ROOT, live) - field_set(ROOT, second) <= {("f:spec",)}
    assert not compare(ROOT, live, second).modified


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_what_another_applier_states_stays_when_one_gives_up(mine, theirs, later):
    live, entries = run({}, mine, [], "a")
    live, entries = run(live, theirs, entries, "b", force=True)
    live, entries = run(live, later, entries, "a", force=True)
    kept = next(entry.fields for entry in entries if entry.manager == "b")
    assert kept - {("f:spec",)} <= prefixes(field_set(ROOT, live)), "an empty list is no field"
    for path in field_set(ROOT, later):
        assert path in next(entry.fields for entry in entries if entry.manager == "a")


@given(DOCUMENTS, DOCUMENTS)
def test_without_force_a_conflict_is_exactly_a_changed_field_of_another(mine, theirs):
    live, entries = run({}, mine, [], "a")
    touched = field_set(ROOT, mine) & (compare(ROOT, live, merge(ROOT, live, theirs)).modified)
    try:
        run(live, theirs, entries, "b")
        assert not touched
    except ApiError as error:
        assert error.code == 409 and {show_path(p) for p in touched} <= {c["field"] for c in error.details["causes"]}
        assert touched


@given(DOCUMENTS, DOCUMENTS)
def test_an_update_owns_what_it_changed_and_takes_it_from_appliers(before, after):
    live, entries = run({}, before, [], "a")
    me = Entry("editor", UPDATE, "v1", "", "2026-01-02T00:00:00Z")
    entries = after_update(ROOT, live, after, entries, me, False)
    sets = {entry.manager: entry.fields for entry in entries}
    changes = compare(ROOT, live, after)
    assert sets["editor"] == (changes.added | changes.modified) - {("f:metadata",)}
    assert not sets.get("a", frozenset()) & (changes.modified | changes.removed)


def test_conflict_wording_with_one_and_with_many():
    live, entries = run({}, {"spec": {"replicas": 1, "ports": [{"name": "http", "port": 80}]}}, [], "a")
    with pytest.raises(ApiError) as one:
        run(live, {"spec": {"replicas": 2}}, entries, "b")
    assert one.value.message == 'Apply failed with 1 conflict: conflict with "a": .spec.replicas'
    assert one.value.details["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": ".spec.replicas"}
    ]
    with pytest.raises(ApiError) as many:
        run(live, {"spec": {"replicas": 2, "ports": [{"name": "http", "port": 81}]}}, entries, "b")
    assert many.value.message == (
        'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.ports[name="http"].port\n- .spec.replicas'
    )


def test_an_update_shows_its_time_in_a_conflict():
    me = Entry("kubectl-edit", UPDATE, "v1", "status", "2026-01-02T00:00:00Z")
    assert str(me) == '"kubectl-edit" with subresource "status" using v1 at 2026-01-02T00:00:00Z'


@pytest.mark.parametrize(
    ("live", "config", "wanted"),
    [
        ("abc", "cab", "cab"),
        ("ab", "ba", "ba"),
        ("abx", "ba", "bxa"),
        ("xab", "ba", "xba"),
        ("a", "ba", "ba"),
        ("axb", "ab", "axb"),
        ("abc", "d", "abcd"),
        ("", "ab", "ab"),
    ],
)
def test_an_apply_can_change_the_order_of_a_keyed_list(live, config, wanted):
    def listed(names: str) -> list[dict[str, str]]:
        return [{"name": name} for name in names]

    assert "".join(item["name"] for item in merge(PORTS, listed(live), listed(config))) == wanted


def test_a_doubled_item_cannot_be_applied():
    with pytest.raises(DuplicateItem):
        field_set(PORTS, [{"name": "a"}, {"name": "a"}])


def test_a_given_up_item_goes_with_what_nobody_stated_and_an_emptied_part_goes_too():
    live, entries = run({}, {"spec": {"ports": [{"name": "a", "port": 1}], "labels": {"x": "y"}}}, [], "a")
    live["spec"]["ports"][0]["defaulted"] = True
    live["spec"]["foreign"] = 1
    left, entries = run(live, {"spec": {}}, entries, "a")
    assert left == {"spec": {"foreign": 1}} and owned(entries, "a") == [".spec"]


def test_more_than_ten_updaters_become_ancient_changes():
    entries: list[Entry] = []
    document: dict[str, Any] = {"spec": {"labels": {}}}
    for number in range(14):
        after = copy.deepcopy(document)
        after["spec"]["labels"][f"l{number}"] = "x"
        me = Entry(f"m{number}", UPDATE, "v1", "", f"2026-01-01T00:00:{number:02}Z")
        entries = after_update(ROOT, document, after, entries, me, False)
        document = after
    names = [entry["manager"] for entry in managers.write(entries)]
    assert len(names) == 10 and managers.ANCIENT in names and "m13" in names
    assert set().union(*(e.fields for e in entries)) >= {("f:spec", "f:labels", f"f:l{n}") for n in range(14)}


def test_a_created_document_is_its_creators():
    me = Entry("kubectl-create", UPDATE, "v1", "", "t")
    entries = after_update(ROOT, MISSING, {"spec": {"replicas": 1, "labels": {"a": "b"}}}, [], me, False)
    assert managers.write(entries)[0]["fieldsV1"] == {
        "f:spec": {".": {}, "f:labels": {".": {}, "f:a": {}}, "f:replicas": {}}
    }
