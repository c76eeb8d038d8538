"""The index answers as a scan does, whatever is put, changed and dropped, and reports every change exactly."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_policy_cases import Cases

from bascule.selectors import Node, parse
from bascule.selectors.anchors import anchor, mentioned
from bascule.selectors.index import SelectorIndex

Labels = dict[str, str]


class Scan:
    """The witness: evaluates every selector on every endpoint."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.labels: dict[int, Labels] = {}

    def selectors(self, endpoint: int) -> set[int]:
        if endpoint not in self.labels:
            return set()
        return {number for number, node in self.nodes.items() if node.matches(self.labels[endpoint])}

    def endpoints(self, selector: int) -> set[int]:
        if selector not in self.nodes:
            return set()
        return {number for number, labels in self.labels.items() if self.nodes[selector].matches(labels)}


def walk(source: random.Random, steps: int) -> None:
    cases, index, scan = Cases(source), SelectorIndex[int, int](), Scan()
    for _ in range(steps):
        number, what = source.randrange(6), source.random()
        if what < 0.5:
            labels = cases.labels()
            before = scan.selectors(number)
            scan.labels[number] = labels
            change = index.put_endpoint(number, labels)
            after = scan.selectors(number)
            assert (change.gained, change.lost) == (after - before, before - after)
        elif what < 0.6:
            before = scan.selectors(number)
            scan.labels.pop(number, None)
            change = index.drop_endpoint(number)
            assert (change.gained, change.lost) == (set(), before)
        elif what < 0.9:
            scan.nodes[number] = parse(cases.selector(3))
            assert index.put_selector(number, scan.nodes[number]) == scan.endpoints(number)
        else:
            before = scan.endpoints(number)
            scan.nodes.pop(number, None)
            assert index.drop_selector(number) == before
    for number in range(6):
        assert index.selectors(number) == scan.selectors(number)
        assert index.endpoints(number) == scan.endpoints(number)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_the_index_is_the_scan(seed: int) -> None:
    walk(random.Random(seed), 40)


@pytest.mark.long
def test_the_index_is_the_scan_over_100_000_steps() -> None:
    for seed in range(1000):
        walk(random.Random(f"long {seed}"), 100)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_without_its_literals_a_selector_gives_its_usual_answer(seed: int) -> None:
    cases = Cases(random.Random(seed))
    node, labels = parse(cases.selector(3)), cases.labels()
    found = anchor(node, len)
    if not any((label, value) in found.literals or (label, None) in found.literals for label, value in labels.items()):
        assert node.matches(labels) == found.default
    kept = {label: value for label, value in labels.items() if label in mentioned(node)}
    assert node.matches(kept) == node.matches(labels)


def test_a_label_change_evaluates_only_what_it_can_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    index = SelectorIndex[int, str]()
    index.put_endpoint("nic", {"app": "app-1", "env": "prod"})
    for number in range(3000):
        form = ("app == 'app-{}'", "app != 'app-{}'", "env == 'prod' && app in {{'app-{}'}}")[number % 3]
        index.put_selector(number, parse(form.format(number // 3)))
    evaluated: list[Node] = []
    for kind in {type(parse(text)) for text in ("a == 'b'", "a in {'b'}", "has(a) && has(b)")}:
        real = kind.matches

        def counted(self: Node, labels: Labels, real: object = real) -> bool:
            evaluated.append(self)
            return bool(real(self, labels))  # type: ignore[operator]

        monkeypatch.setattr(kind, "matches", counted)
    change = index.put_endpoint("nic", {"app": "app-2", "env": "prod"})
    assert change.gained == {4, 6, 8} and change.lost == {3, 5, 7}
    assert len(evaluated) < 20


def test_unknown_names_are_empty_and_equal_selectors_stay_apart() -> None:
    index = SelectorIndex[str, str]()
    assert not index.selectors("x") and not index.endpoints("x") and not index.drop_selector("x")
    assert not index.drop_endpoint("x")
    index.put_selector("one", parse("all()"))
    index.put_selector("two", parse("all()"))
    assert index.put_endpoint("nic", {}).gained == {"one", "two"}
    index.drop_selector("one")
    assert index.selectors("nic") == {"two"}
    assert not index.put_endpoint("nic", {})
