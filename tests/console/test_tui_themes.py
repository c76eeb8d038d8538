"""Every theme keeps its promise: readable inks, and errors that name file and field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bascule_console.widgets.plainyaml import plain_yaml
from bascule_console.widgets.themedata import ThemeError, contrast, load_theme, themes_folder

THEMES = sorted(themes_folder().glob("*.yaml"))


def test_there_is_a_dark_and_a_light_one() -> None:
    assert {load_theme(path).name for path in THEMES} >= {"bascule-dark", "bascule-light"}


def test_contrast_is_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("path", THEMES, ids=lambda path: path.stem)
def test_every_ink_is_readable(path: Path) -> None:
    measured = list(load_theme(path).contrasts())
    assert len(measured) >= 25
    assert [f"{ink} on {ground}: {ratio:.2f}" for ink, ground, ratio in measured if ratio < 4.5] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("name: bascule-dark", "title: x"), "no field name"),
        (('primary: "#4f9ddb"', "primary: blue"), "base.primary is 'blue'"),
        (('  muted: "#8e9aaa"\n', ""), "roles.muted is None"),
        (("roles:\n", 'roles:\n  sparkle: "#ffffff"\n'), "roles.sparkle is no colour"),
        (("base:", "base: ["), "cannot read theme"),
    ],
)
def test_a_broken_theme_names_file_and_field(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((themes_folder() / "dark.yaml").read_text().replace(*change))
    with pytest.raises(ThemeError) as caught:
        load_theme(path)
    assert str(path) in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize("path", THEMES, ids=lambda path: path.stem)
def test_the_plain_reader_reads_every_theme_as_yaml_does(path: Path) -> None:
    assert plain_yaml(path.read_text()) == yaml.safe_load(path.read_text())


LINES = st.sampled_from(
    [
        *("a: b", "a:", "  b: c", '  b: "#ff0000"', "b: true", "  c: off", "a: 'x'", "a: 1", "- a", "  x:", "    d: e"),
        *("# word", "", "  # word", 'c: "a\\n"', "a: b # c", "null: x", "é: x", "a: b: c", "a:  b", "y: z", "\ta: b"),
    ]
)


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_what_the_plain_reader_takes_yaml_reads_the_same(text: str) -> None:
    found = plain_yaml(text)
    assert not found or found == yaml.safe_load(text)
