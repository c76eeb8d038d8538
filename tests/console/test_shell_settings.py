"""Settings: what a file means, and that a wrong one is named by file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from bascule_console.services.settings import ContextSettings, SettingsError, load_settings, settings_path


def test_the_place_is_under_xdg_config() -> None:
    assert settings_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/bascule/config.yaml")
    assert settings_path({}) == Path.home() / ".config" / "bascule" / "config.yaml"


def test_no_file_and_an_empty_file_mean_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert load_settings(path).of("any") == ContextSettings()
    path.write_text("# nothing yet\n")
    assert load_settings(path).of("any") == ContextSettings()


def test_contexts_are_set_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "theme: light\ncontexts:\n  prod:\n    protected: true\n    theme: high-contrast\n  audit: {read_only: yes}\n"
    )
    settings = load_settings(path)
    assert settings.theme == "light"
    assert settings.of("prod") == ContextSettings(protected=True, theme="high-contrast")
    assert settings.of("audit") == ContextSettings(read_only=True)
    assert settings.of("lab") == ContextSettings()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("theme: pink\n", 1, "theme; cause: no theme 'pink'; fix: one of dark, light"),
        ("contexts:\n  prod:\n    read_only: maybe\n", 3, "contexts.prod.read_only; cause: 'maybe' is neither"),
        (
            "contexts:\n  prod:\n    readonly: true\n",
            3,
            "contexts.prod.readonly; cause: no such key; fix: one of",
        ),
        ("contexts:\n  prod: yes\n", 2, "contexts.prod; cause: not a mapping"),
        ("contexts:\n  a: {}\n  a: {}\n", 3, "contexts.a; cause: given twice"),
        ("theme: dark\n\ncontext: {}\n", 3, "context; cause: no such key; fix: one of theme, contexts"),
        ("- theme\n", 1, "the file; cause: not a mapping"),
        ("? [a]\n: b\n", 1, "the file; cause: a key that is no text"),
        ("contexts:\n  prod:\n\tread_only: true\n", 3, "no YAML"),
        ("contexts: {prod: {theme: [dark]}}\n", 1, "contexts.prod.theme"),
    ],
)
def test_a_wrong_file_is_named_by_line_and_key(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert f"{path}:{line}: " in str(caught.value) and words in str(caught.value)
    assert caught.value.exit_code == 2


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"theme: \xff\n")
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(path)
