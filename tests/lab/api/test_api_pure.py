"""The API's pure parts: selectors, patches, schemas, the store's log."""

from __future__ import annotations

import copy
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_lab.apiserver.apply import merging
from bascule_lab.apiserver.body import decode
from bascule_lab.apiserver.patch import merge
from bascule_lab.apiserver.schema import prune, set_defaults, validate
from bascule_lab.apiserver.selectors import parse
from bascule_lab.apiserver.status import ApiError
from bascule_lab.apiserver.store import Index, Store, StoreError

LABELS = {"app": "web", "tier": "front", "x.io/y": ""}
SELECTORS = [
    ("", True),
    ("app=web", True),
    ("app==db", False),
    ("app!=db", True),
    ("none!=db", True),
    ("app in (web, db),tier", True),
    ("app notin (web)", False),
    ("none notin (web)", True),
    ("!app", False),
    ("!none,x.io/y", True),
    ("x.io/y=", True),
]
JSONS = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=2), below, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=2), JSONS, max_size=4)


@pytest.mark.parametrize(("text", "wanted"), SELECTORS)
def test_label_selectors(text, wanted):
    assert parse(text, "", ()).matches(LABELS, {}) is wanted


@pytest.mark.parametrize("text", ["a in", "=b", "a=b,", "a in (b", "a b", "a=b=c", "a;b"])
def test_wrong_label_selectors_are_refused(text):
    with pytest.raises(ApiError) as caught:
        parse(text, "", ())
    assert caught.value.code == 400


def test_field_selectors():
    fields = {"metadata.name": "a,b", "spec.nodeName": "n1"}
    assert parse("", "metadata.name=a\\,b,spec.nodeName!=n2", fields).matches({}, fields)
    assert not parse("", "spec.nodeName==n2", fields).matches({}, fields)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_done_twice_is_done_once(target, patch):
    once = merge(copy.deepcopy(target), copy.deepcopy(patch))
    assert merge(copy.deepcopy(once), copy.deepcopy(patch)) == once
    assert merge({}, copy.deepcopy(target)) == target
    assert set(once) == set(target) | set(patch)


def test_rfc_7386_examples():
    cases = [
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [1]}, {"a": [{"x": None}]}, {"a": [{"x": None}]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ]
    for target, patch, wanted in cases:
        assert merge(target, patch) == wanted


KEYED = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["k"],
    "items": {
        "type": "object",
        "properties": {"k": {"type": "string", "default": ""}, "v": {"type": "integer", "minimum": 0}},
    },
}


def apply(live: list[Any], config: list[Any]) -> Any:
    return merging.merge(KEYED, live, config)


def test_apply_finds_an_item_by_its_keys_default():
    assert apply([{"k": "", "v": 1}, {"k": "x"}], [{"v": 2}]) == [{"k": "", "v": 2}, {"k": "x"}]


def test_pruning_defaults_and_validation_of_a_keyed_list():
    value = [{"v": 1, "bogus": 2}, {"k": "", "v": -1}]
    assert prune(KEYED, value, "list") == ["list[0].bogus"]
    set_defaults(KEYED, value)
    texts = [str(error) for error in validate(KEYED, value, "list")]
    assert len(texts) == 2
    assert texts[0].startswith("list[1]: Duplicate value") and "list[1].v: Invalid value: -1" in texts[1]


@given(JSONS)
def test_what_was_pruned_is_not_pruned_again(tree):
    schema = {"type": "object", "properties": {"a": {"type": "object"}, "b": KEYED}}
    value = {"a": tree, "b": [tree], "c": tree}
    assert "c" in prune(schema, value) and prune(schema, value) == []


@pytest.mark.parametrize("body", [b"a: &x 1\nb: *x", b"[" * 500, b"a: .nan", b"? [1]\n: 2", b"- 1", b"\xff"])
def test_yaml_that_is_no_json_object_is_refused(body):
    with pytest.raises(ApiError) as caught:
        decode(body, yaml_too=True)
    assert caught.value.code == 400


def test_yaml_dates_stay_text():
    assert decode(b"a: 2024-01-01\n1: yes\n", yaml_too=True) == {"a": "2024-01-01", "1": True}


def test_the_log_is_bounded_in_the_database_too(tmp_path: Path):
    path = tmp_path / "api.db"
    store = Store(path, log_kept=10)
    for number in range(45):
        store.put(("things", "", "a"), "uid", {"metadata": {"name": "a"}, "n": number}, Index({}, {}))
    assert (store.rv, store.floor) == (45, 30)
    assert [event.rv for event in store.since("things", store.floor)] == list(range(31, 46))
    with pytest.raises(StoreError, match="stop the other API server"):
        Store(path)
    store.close()
    witness = sqlite3.connect(path)
    assert witness.execute("SELECT count(*), min(rv) FROM events").fetchone() == (15, 31)
    assert witness.execute("SELECT rv FROM objects").fetchall() == [(45,)]
    witness.close()
    again = Store(path)
    assert (again.rv, again.floor) == (45, 30)
    again.close()
