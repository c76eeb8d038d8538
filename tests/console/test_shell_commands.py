"""The `:` line: names, aliases, completion, history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_console.screens.commands import CommandError, candidates, parse
from bascule_console.screens.modes import MODES, Mode
from bascule_console.widgets.history import History
from bascule_console.widgets.prompt import completed

THEMES = ["bascule-dark", "bascule-light"]


@pytest.mark.parametrize(
    ("text", "mode", "wanted"),
    [
        ("vms", "vms", ""),
        (" :vm ", "vms", ""),
        ("vm web", "vms", "web"),
        ("net /dc1", "networks", "dc1"),
        ("ip", "addresses", ""),
    ],
)
def test_places(text: str, mode: str, wanted: str) -> None:
    command = parse(text, THEMES)
    assert isinstance(command.target, Mode) and command.target.id == mode and command.filter == wanted


def test_words() -> None:
    assert parse("q", THEMES).target == "quit"
    assert parse("theme light", THEMES).argument == "bascule-light"


@pytest.mark.parametrize("text", ["", "nowhere", "theme pink", "vmss"])
def test_what_is_none_says_what_is(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(text, THEMES)
    assert "one of" in caught.value.fix


def test_names_and_aliases_are_unique() -> None:
    names = [name for mode in MODES for name in (mode.id, *mode.aliases)] + ["q", "h", "help", "quit", "theme", "skin"]
    assert len(names) == len(set(names))


def test_completion_gives_names_before_aliases_and_goes_round() -> None:
    def found(text: str) -> list[str]:
        return candidates(text, THEMES)

    assert completed("ne", found) == "networks"
    assert completed("add", found) == "addresses"
    assert completed("ippo", found) == "ippool"
    assert completed("zz", found) == ""
    seen, at = [], "live"
    for _ in range(len(found(""))):
        at = completed(at, found)
        seen.append(at)
    assert sorted(seen) == sorted(found("")) and at == "live"


@given(st.lists(st.text(min_size=1), max_size=8), st.text())
def test_history_walks_back_and_returns_to_the_draft(entries: list[str], draft: str) -> None:
    history = History()
    for entry in entries:
        history.add(entry)
    unique = list(dict.fromkeys(reversed(entries)))
    text, back = draft, []
    for _ in unique:
        text = history.older(text)
        back.append(text)
    assert back == unique
    assert history.older(text) == (unique[-1] if unique else draft)
    for _ in unique:
        text = history.newer(text)
    assert text == draft
