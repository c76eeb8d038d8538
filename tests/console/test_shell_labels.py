"""`/ -l`: kubectl's label selectors, checked against what Kubernetes documents and by pairs that must be opposites."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_console.widgets.filtering import FilterError, parse_filter
from bascule_console.widgets.labels import parse_labels
from bascule_console.widgets.rowview import RowView


def holds(selector: str, **labels: str) -> bool:
    return all(requirement.holds(labels) for requirement in parse_labels(selector))


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("app=web", {"app": "web"}, True),
        ("app==web", {"app": "db"}, False),
        ("app!=web", {}, True),
        ("app", {"app": ""}, True),
        ("!app", {"app": "web"}, False),
        ("app in (web, db)", {"app": "db"}, True),
        ("app notin (web,db)", {}, True),
        ("app=web,tier!=old", {"app": "web", "tier": "old"}, False),
        ("app=web , !gone", {"app": "web"}, True),
        ("app=", {"app": ""}, True),
    ],
)
def test_what_holds(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert holds(selector, **labels) is expected


def test_prefixed_keys() -> None:
    assert parse_labels("vm.kubevirt.io/name=web-1")[0].holds({"vm.kubevirt.io/name": "web-1"})


@pytest.mark.parametrize("text", ["-l", "-l app=", "-l app=web,", "-l =web", "-l app in web", "-l app=we b", "-l !"])
def test_broken_ones_are_named(text: str) -> None:
    if text == "-l app=":
        assert parse_filter(text).labels
        return
    with pytest.raises(FilterError, match="no label selector") as caught:
        parse_filter(text)
    assert "-l app=web" in caught.value.fix


@given(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", ""]), st.dictionaries(st.sampled_from("ab"), st.text()))
def test_a_requirement_and_its_negation_are_opposites(key: str, value: str, labels: dict[str, str]) -> None:
    assert holds(f"{key}={value}", **labels) != holds(f"{key}!={value}", **labels)
    assert holds(key, **labels) != holds(f"!{key}", **labels)
    assert holds(f"{key} in ({value},z)", **labels) != holds(f"{key} notin ({value},z)", **labels)


def test_a_table_is_filtered_by_labels(scene: object) -> None:
    store = scene.cluster().store  # type: ignore[attr-defined]
    named = dict(store.inventory.get("virtualmachines", "vms/web-1"))
    named["metadata"] = {**named["metadata"], "labels": {"app": "shop"}}
    store.inventory.put("virtualmachines", named)
    view = RowView(store.vms, (), lambda: 0.0)
    view.set_filter(parse_filter("-l app=shop"))
    assert view.order == ["vms/web-1"]
    view.set_filter(parse_filter("-l app!=shop"))
    assert len(view.order) == 11
