"""Whatever a document looks like, lint answers and does not raise: any JSON, and dc1.yaml with one value replaced."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.lint import lint

DC1 = list(yaml.safe_load_all((Path(__file__).parents[2] / "examples/dc1.yaml").read_text()))
KINDS = ("Network", "NetworkAttachmentDefinition", "IPPool", "VirtualMachine", "Node", "Pod")
WORDS = (
    "spec",
    "l2Bridge",
    "vlans",
    "vlan",
    "id",
    "range",
    "start",
    "hostConfig",
    "metadata",
    "name",
    "config",
    "cidr",
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(("10.0.0.0/8", "::/0", "{}")),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=4), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in _paths(each, (*path, key)))]


@settings(max_examples=200, deadline=None)
@given(st.lists(values, max_size=3), st.sampled_from(KINDS), values)
def test_anything_at_all(documents: list[Any], kind: str, spec: Any) -> None:
    network = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": "n"}, "spec": spec}
    for finding in lint([*documents, network, {"kind": kind, "spec": spec}], context=documents):
        assert finding.id and finding.severity in ("error", "warning", "info")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_value_of_a_good_document_replaced(data: st.DataObject) -> None:
    index = data.draw(st.sampled_from((1, 2, 5, 8)))
    documents = copy.deepcopy(DC1[:10])
    path = data.draw(st.sampled_from(_paths(documents[index])))
    target: Any = documents
    for step in (index, *path)[:-1]:
        target = target[step]
    target[(index, *path)[-1]] = data.draw(values)
    lint(documents, context=DC1)


def test_deep_nesting_does_not_exhaust_the_stack() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": [deep]}
    nad = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": {"name": "n"}}
    assert lint([deep, {**nad, "spec": {"config": "[" * 100_000, "x": deep}}])
