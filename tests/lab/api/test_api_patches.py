"""JSON patches (RFC 6902, its appendix A) and strategic merge patches, pure and over the API."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_lab.apiserver.builtin import BUILTIN
from bascule_lab.apiserver.jsonpatch import apply_patch
from bascule_lab.apiserver.status import ApiError
from bascule_lab.apiserver.strategic import strategic_merge

PODS = "/api/v1/namespaces/vms/pods"
STRATEGIC, JSON_PATCH = "application/strategic-merge-patch+json", "application/json-patch+json"
POD = next(kind for kind in BUILTIN if kind.kind == "Pod").root

RFC_6902 = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["a", "b"]}, [{"op": "add", "path": "/foo/1", "value": "q"}], {"foo": ["a", "q", "b"]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["a", "q", "b"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "b"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    ({"foo": list("abcd")}, [{"op": "move", "from": "/foo/1", "path": "/foo/3"}], {"foo": list("acdb")}),
    ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "qux"}], {"baz": "qux"}),
    ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"g": {}}}], {"foo": "bar", "child": {"g": {}}}),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["a"]}], {"foo": ["bar", ["a"]]}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
]
FAILING = [
    ({"a": 1}, {"op": "test", "path": "/a", "value": True}),
    ({"a": 1}, {"op": "test", "path": "/a", "value": "1"}),
    ({"a": 1}, {"op": "add", "path": "/b/c", "value": 1}),
    ({"a": 1}, {"op": "replace", "path": "/b", "value": 1}),
    ({"a": [1]}, {"op": "add", "path": "/a/01", "value": 1}),
    ({"a": [1]}, {"op": "remove", "path": "/a/-"}),
    ({"a": {}}, {"op": "move", "from": "/a", "path": "/a/b"}),
    ({"a": 1}, {"op": "remove", "path": ""}),
    ({"a": 1}, {"op": "remove", "path": "a"}),
]


@pytest.mark.parametrize(("before", "patch", "after"), RFC_6902)
def test_the_examples_of_rfc_6902(before, patch, after):
    kept = copy.deepcopy(before)
    assert apply_patch(before, patch) == after and before == kept


@pytest.mark.parametrize(("before", "operation"), FAILING)
def test_an_operation_that_fails_is_invalid_with_its_number(before, operation):
    with pytest.raises(ApiError) as caught:
        apply_patch(before, [operation])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid") and "operation 0" in caught.value.message


@pytest.mark.parametrize("patch", [{}, [1], [{"op": "jump", "path": "/a"}], [{"op": "add", "path": "/a"}]])
def test_what_is_no_json_patch_is_a_bad_request(patch):
    with pytest.raises(ApiError) as caught:
        apply_patch({}, patch)
    assert caught.value.code == 400


def pod(*images: tuple[str, str]) -> dict[str, object]:
    return {"spec": {"containers": [{"name": name, "image": image} for name, image in images]}}


def test_containers_merge_by_name_and_directives_are_obeyed():
    live = pod(("a", "1"), ("b", "1"))
    live["spec"]["containers"][0]["env"] = [{"name": "X", "value": "1"}]
    changed = strategic_merge(live, pod(("b", "2"), ("c", "3")), POD)
    assert changed["spec"]["containers"] == [
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]},
        {"name": "b", "image": "2"},
        {"name": "c", "image": "3"},
    ]
    deleted = strategic_merge(live, {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}, POD)
    assert [c["name"] for c in deleted["spec"]["containers"]] == ["b"]
    replace = {"spec": {"containers": [{"name": "z"}, {"$patch": "replace"}]}}
    assert strategic_merge(live, replace, POD)["spec"]["containers"] == [{"name": "z"}]
    order = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert [c["name"] for c in strategic_merge(live, order, POD)["spec"]["containers"]] == ["b", "a"]
    finalizers = {"metadata": {"finalizers": ["a", "b"]}}
    less = strategic_merge(finalizers, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}, POD)
    assert less["metadata"]["finalizers"] == ["b"]
    volumes = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    keep = {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}}
    assert strategic_merge(volumes, keep, POD)["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]


@pytest.mark.parametrize(
    "patch",
    [
        {"$patch": "guess"},
        {"spec": {"containers": [{"image": "no name"}]}},
        {"$retainKeys": 1},
        {"$setElementOrder/x": 1},
    ],
)
def test_directives_that_make_no_sense_are_bad_requests(patch):
    with pytest.raises(ApiError) as caught:
        strategic_merge(pod(("a", "1")), patch, POD)
    assert caught.value.code == 400


@given(
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(1, 3)),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 3)),
)
def test_a_strategic_patch_done_twice_is_done_once(live, patch):
    before = pod(*live.items())
    once = strategic_merge(before, pod(*patch.items()), POD)
    assert strategic_merge(once, pod(*patch.items()), POD) == once
    assert {c["name"]: c["image"] for c in once["spec"]["containers"]} == {**live, **patch}


async def test_all_patches_over_the_api(api):
    admin = api.client()
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, **pod(("a", "1"))}
    made = await admin("POST", PODS, body)
    assert made.code == 201, made.body
    patched = await admin("PATCH", f"{PODS}/p", pod(("b", "2")), STRATEGIC)
    assert [c["name"] for c in patched.body["spec"]["containers"]] == ["a", "b"]
    rv = patched.body["metadata"]["resourceVersion"]
    stale = [{"op": "replace", "path": "/metadata/resourceVersion", "value": made.body["metadata"]["resourceVersion"]}]
    assert (await admin("PATCH", f"{PODS}/p", stale, JSON_PATCH)).code == 409
    tested = await admin(
        "PATCH", f"{PODS}/p", [{"op": "test", "path": "/metadata/resourceVersion", "value": rv}], JSON_PATCH
    )
    assert tested.code == 200 and tested.body["metadata"]["resourceVersion"] == rv
    unknown = await admin("PATCH", f"{PODS}/p?fieldValidation=Strict", {"spec": {"contaners": []}}, STRATEGIC)
    assert unknown.code == 422 and 'unknown field "spec.contaners"' in unknown.body["message"]
