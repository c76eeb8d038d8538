"""The selector grammar, case by case from calico-l2.md 7.1, and the canonical text as a property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.selectors import SelectorError, parse

LABELS = {"rack": "a", "zone": "eu-1", "in": "x", "k8s.io/name": "node1"}

TRUE = (
    "",
    " \t",
    "all()",
    "all( )",
    "global()",
    "rack == 'a'",
    'rack=="a"',
    "rack != 'b'",
    "gone != 'b'",
    "gone not in {'b'}",
    "gone notin {}",
    "rack in {'b', 'a',}",
    "rack in{'a'}",
    "zone contains 'u-'",
    "zone starts with 'eu'",
    "zone startswith'eu'",
    "zone ends \t with '1'",
    "has(k8s.io/name)",
    "has( rack )",
    "!has(gone)",
    "!!rack == 'a'",
    "!rack == 'b'",
    "in in {'x'}",
    "in == 'x'",
    "rack == 'b' && rack == 'a' || all()",
    "rack == 'a' && (rack == 'b' || zone contains 'eu')",
    "quote != '\"'",
)
FALSE = (
    "gone == ''",
    "has(gone)",
    "gone contains ''",
    "gone in {''}",
    "rack in {}",
    "!all()",
    "rack != 'a'",
    "!(all())",
)
BAD = (
    ("rack = 'a'", 5),
    ("rack == a", 8),
    ("rack == 'a", 8),
    ("rack", 4),
    ("(rack == 'a'", 12),
    ("rack == 'a')", 11),
    ("rack == 'a' & all()", 12),
    ("rack == 'a' | all()", 12),
    ("rack\n== 'a'", 4),
    ("rack in 'a'", 8),
    ("rack in {'a' 'b'}", 13),
    ("rack in {'a'", 12),
    ("has()", 4),
    ("has(a b)", 6),
    ("all(x)", 4),
    ("rack foo 'a'", 5),
    ("&& all()", 0),
    ("all() all()", 6),
    ("é == 'a'", 0),
    ("(" * 5000, 100),
    ("a" * 513 + " == 'x'", 0),
    ("!" * 5000, 5000),
)


@pytest.mark.parametrize("text", TRUE)
def test_matches(text: str) -> None:
    assert parse(text).matches(LABELS)


@pytest.mark.parametrize("text", FALSE)
def test_does_not_match(text: str) -> None:
    assert not parse(text).matches(LABELS)


@pytest.mark.parametrize(("text", "position"), BAD, ids=range(len(BAD)))
def test_errors_name_the_position(text: str, position: int) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(text)
    assert caught.value.position == position


def test_canonical_text_is_calicos() -> None:
    assert str(parse("")) == "all()"
    assert str(parse("b in {'z','y'}&&!has( a )||c!='\"'")) == """((b in {"y", "z"} && !has(a)) || c != '"')"""
    assert str(parse("x notin {'a'} && y startswith 'b'")) == '(x not in {"a"} && y starts with "b")'


names = st.from_regex(r"[a-c]{1,2}", fullmatch=True)
texts = st.sampled_from(("a", "b", "ab", "", "'", '"'))


def quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


comparisons = st.builds(
    lambda name, operator, value: f"{name} {operator} {quoted(value)}",
    names,
    st.sampled_from(("==", "!=", "contains", "starts with", "endswith")),
    texts,
)
sets = st.builds(
    lambda name, operator, values: f"{name} {operator} {{{','.join(map(quoted, values))}}}",
    names,
    st.sampled_from(("in", "not in")),
    st.lists(texts, max_size=3),
)
selectors = st.recursive(
    st.one_of(comparisons, sets, names.map(lambda name: f"has({name})"), st.just("all()")),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(" && ".join),
        st.lists(inner, min_size=2, max_size=3).map(" || ".join),
        inner.map(lambda each: f"!({each})"),
    ),
    max_leaves=8,
)


@given(selectors, st.lists(st.dictionaries(names, texts, max_size=4), min_size=1, max_size=5))
def test_the_canonical_text_means_the_same(text: str, labels: list[dict[str, str]]) -> None:
    node, again = parse(text), parse(str(parse(text)))
    assert [node.matches(each) for each in labels] == [again.matches(each) for each in labels]


@given(st.text(alphabet="ab=!&|(){}'\", hasin\t", max_size=30))
def test_any_text_parses_or_says_where_it_does_not(text: str) -> None:
    try:
        assert isinstance(parse(text).matches({}), bool)
    except SelectorError as error:
        assert 0 <= error.position <= len(text)
