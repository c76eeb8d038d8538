"""The wizard's state machine, its values and its answers: pure, whatever is typed."""

from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.estate.model import Estate, Nic, Vm
from bascule.migration.answers import Answers
from bascule.migration.checks import CHECKS
from bascule.migration.errors import MigrationInputError
from bascule.migration.options import Options
from bascule.migration.questions import QUESTIONS
from bascule.migration.wizard import (
    STEPS,
    State,
    answered,
    at,
    backward,
    dump,
    forward,
    load,
    number,
    settled,
    shown,
)
from bascule.migration.wizard_answers import address_field, addressed, inline, merged, options
from bascule.migration.wizard_page import CHOICE, KINDS, NUMBER, PATH, TEXT, URI, YES_NO, Choice, Field
from bascule.migration.wizard_values import parsed, several
from bascule.migration.wizard_words import WORDS

steps = st.sampled_from(STEPS)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
states = st.builds(
    at,
    st.builds(
        State,
        step=steps,
        answers=st.dictionaries(names, names, max_size=5),
        made=st.dictionaries(steps, names, max_size=3),
        notes=st.dictionaries(steps, names, max_size=3),
    ),
    steps,
)


@given(states)
def test_what_is_kept_is_read_back_and_is_the_same_bytes(state: State) -> None:
    text = dump(state)
    read = load("wizard.json", text.encode())
    assert read == state
    assert dump(read) == text


@given(states, st.integers(0, 400), st.binary(max_size=8))
def test_a_garbled_file_is_one_error_that_names_it(state: State, cut: int, junk: bytes) -> None:
    data = dump(state).encode()
    try:
        read = load("wizard.json", data[:cut] + junk + data[cut + len(junk) :])
    except MigrationInputError as error:
        assert error.message.startswith("wizard.json: ")
    else:
        assert read.step in STEPS


@pytest.mark.parametrize(
    "document",
    [[], {}, {"format": "bascule-wizard/2"}, {"format": "bascule-wizard/1", "step": "nowhere"},
     {"format": "bascule-wizard/1", "step": "run", "reached": ["run"]},
     {"format": "bascule-wizard/1", "step": "run", "reached": "run", "answers": {"a": 1}, "made": {}, "notes": {}},
     {"format": "bascule-wizard/1", "step": "run", "reached": "run", "answers": [], "made": {}, "notes": {}}],
)  # fmt: skip
def test_another_document_is_one_error(document: object) -> None:
    with pytest.raises(MigrationInputError, match="no state of the wizard"):
        load("wizard.json", json.dumps(document).encode())


@given(st.lists(st.sampled_from(["next", "back", "go", "answer"]), max_size=40), steps)
def test_reached_never_shrinks_and_answers_stay(moves: list[str], to: str) -> None:
    state = answered(State(), "source.files", "/a")
    for move in moves:
        before = state
        if move == "next":
            state = forward(state)
        elif move == "back":
            state = backward(state)
        elif move == "go":
            state = at(state, to)
        else:
            state = answered(state, "waves.vms", "3")
        assert abs(number(state.step) - number(before.step)) <= 1 or move == "go"
        assert number(state.reached) >= max(number(state.step), number(before.reached))
        assert state.answers["source.files"] == "/a"


def test_an_answer_taken_back_is_gone() -> None:
    state = answered(answered(State(), "waves.vms", "3"), "waves.vms", "")
    assert state.answers == {} and answered(State(), "waves.vms", "3").of("waves") == {"vms": "3"}


def test_what_an_answer_changes_is_said_and_settled_by_looking() -> None:
    state = shown(State(step="waves", reached="review"), "waves", "aaa", "2 waves")
    same = settled(state, {"waves": ("aaa", "2 waves")})
    assert same.notes == {}
    changed = settled(same, {"waves": ("bbb", "3 waves"), "review": ("ccc", "9 objects")})
    assert changed.notes == {"waves": "waves were planned anew: 3 waves (before: 2 waves)"}
    assert settled(changed, {"waves": ("aaa", "2 waves")}).notes == {}
    assert shown(changed, "waves", "bbb", "3 waves").notes == {}
    assert "in its details" in settled(same, {"waves": ("bbb", "2 waves")}).notes["waves"]


@given(st.sampled_from(KINDS), st.booleans(), st.text(max_size=60))
def test_whatever_is_typed_is_kept_in_one_form_or_refused_in_one_line(kind: str, many: bool, typed: str) -> None:
    field = Field("x.y", "Label", kind, choices=(Choice("one", ""), Choice("two", "")), many=many)
    try:
        text = parsed(field, typed)
    except MigrationInputError as error:
        assert error.message.startswith("Label: ") and "\n" not in error.message
        return
    assert text.isprintable() or not text
    assert parsed(field, text) == text
    if many:
        assert shlex.join(several(text)) == text


@pytest.mark.parametrize(
    ("kind", "typed", "kept"),
    [(YES_NO, " Y ", "yes"), (YES_NO, "No", "no"), (NUMBER, "007", "7"), (CHOICE, "TWO", "two"), (TEXT, " a b ", "a b"),
     (PATH, "~/x y", "~/x y"), (URI, "qemu+ssh://root@old/system", "qemu+ssh://root@old/system"), (NUMBER, "", "")],
)  # fmt: skip
def test_values(kind: str, typed: str, kept: str) -> None:
    assert parsed(Field("x.y", "L", kind, choices=(Choice("one", ""), Choice("two", ""))), typed) == kept


@pytest.mark.parametrize(
    ("kind", "typed", "word"),
    [(YES_NO, "maybe", "yes or no"), (NUMBER, "0", "whole number"), (NUMBER, "٣", "whole number"),
     (NUMBER, "1e9", "whole number"), (CHOICE, "three", "one of one, two"), (TEXT, "a\x1b[31m", "without"),
     (URI, "old-host", "qemu+ssh"), (URI, "esx://root:secret@old/", "leave it out"), (TEXT, "x" * 20_001, "at most")],
)  # fmt: skip
def test_refusals_say_what_would_do_and_repeat_no_password(kind: str, typed: str, word: str) -> None:
    field = Field("x.y", "L", kind, choices=(Choice("one", ""), Choice("two", "")))
    with pytest.raises(MigrationInputError) as refused:
        parsed(field, typed)
    assert word in str(refused.value) and "secret" not in str(refused.value)


def test_answers_on_pages_are_what_an_answers_file_says() -> None:
    typed = {
        "assess.question.observability": "yes",
        "assess.check.vrrp": "no",
        "networks.vlan.Old LAN": "100",
        "networks.subnet.100": "10.100.0.0/24 10.100.0.1",
        "waves.vms": "5",
    }
    document = {
        "questions": {"observability": True},
        "checks": {"vrrp": False},
        "port_groups": {"Old LAN": 100},
        "subnets": {100: {"cidr": "10.100.0.0/24", "gateway": "10.100.0.1"}},
    }
    mine = inline(typed)
    assert mine == Answers.of(document, "x", QUESTIONS, tuple(CHECKS))
    file = Answers.of({"checks": {"vrrp": True, "dhcp": True}}, "x", QUESTIONS, tuple(CHECKS))
    both = merged(file, mine)
    assert both.checks["vrrp"].value is False and both.checks["dhcp"].value is True
    for wrong in ({"networks.subnet.100": "10.100.0.0/40"}, {"networks.vlan.x": "4095"}):
        with pytest.raises(MigrationInputError):
            inline(wrong)


def test_options_are_those_of_plan_build() -> None:
    assert options({}) == Options()
    typed = {"networks.trunk": "ens2", "waves.vms": "5", "identity.take": "'a b' c", "review.storage": "fast"}
    wanted = Options(trunk="ens2", wave_vms=5, take=("a b", "c"), storage_class="fast")
    assert options(typed) == wanted


def test_every_step_explains_itself_in_a_few_sentences() -> None:
    assert tuple(WORDS) == STEPS
    for words in WORDS.values():
        assert 2 <= len(words.explains) <= 3 and all(each.endswith(".") for each in words.explains)
        assert words.back


def test_addresses_that_were_answered_fill_in_what_no_source_tells() -> None:
    silent, told = Nic(0, mac="52:54:00:00:00:01"), Nic(1, ips=("10.0.0.9",))
    estate = Estate(vms=(Vm("k 1", "a", nics=(silent, told)), Vm("k2", "b", nics=(silent,))))
    typed = {address_field(estate.vms[0], nic): "10.0.0.7" for nic in (silent, told)}
    found = addressed(estate, typed)
    assert [nic.ips for vm in found.vms for nic in vm.nics] == [("10.0.0.7",), ("10.0.0.9",), ()]
    assert addressed(estate, {}) is estate
    for wrong in ("10.0.0.300", "x", "10.0.0.1/24"):
        with pytest.raises(MigrationInputError, match="the wizard"):
            addressed(estate, {address_field(estate.vms[1], silent): wrong})
