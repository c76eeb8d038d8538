"""The operator's settings: `bascule/config.yaml` under XDG config. A wrong one is named by file, line and key.

theme: dark
contexts:
  prod-eu:
    read_only: true     # danger actions are absent, danger verbs are refused
    protected: true     # danger wants the name typed (--confirm-name NAME), the banner says PROD
    theme: high-contrast
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from bascule.errors import UsageError

THEMES = ("dark", "light", "high-contrast", "deuteranopia", "ansi")
_BOOL = "tag:yaml.org,2002:bool"


class SettingsError(UsageError):
    """A settings file that cannot be used."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What is set for one kubeconfig context."""

    read_only: bool = False
    protected: bool = False
    theme: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file; without a file, its defaults."""

    theme: str = ""
    contexts: Mapping[str, ContextSettings] = field(default_factory=dict)

    def of(self, context: str) -> ContextSettings:
        """What holds on a context."""
        return self.contexts.get(context, ContextSettings())


def settings_path(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CONFIG_HOME/bascule/config.yaml`, by default under ~/.config."""
    folder = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "bascule" / "config.yaml"


def load_settings(path: Path) -> Settings:
    """Read the file; a missing one is empty. Raises SettingsError naming file, line and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}", str(error), "correct the file or its permissions") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SettingsError(f"{where}: no YAML", str(getattr(error, "problem", error)), "correct that line") from error
    if root is None:
        return Settings()
    return _Reader(path).settings(root)


class _Reader:
    """Walks the composed nodes, which know their lines."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def settings(self, root: yaml.Node) -> Settings:
        theme, contexts = "", {}
        for key, name, value in self._entries(root, ""):
            if key == "theme":
                theme = self._theme(value, name)
            elif key == "contexts":
                contexts = {context: self._context(node, where) for context, where, node in self._entries(value, name)}
            else:
                raise self._wrong(value, name, "no such key", "one of theme, contexts")
        return Settings(theme, contexts)

    def _context(self, node: yaml.Node, where: str) -> ContextSettings:
        known = tuple(each.name for each in fields(ContextSettings))
        found: dict[str, str | bool] = {}
        for key, name, value in self._entries(node, where):
            if key not in known:
                raise self._wrong(value, name, "no such key", f"one of {', '.join(known)}")
            found[key] = self._theme(value, name) if key == "theme" else self._bool(value, name)
        return ContextSettings(bool(found.get("read_only")), bool(found.get("protected")), str(found.get("theme", "")))

    def _entries(self, node: yaml.Node, where: str) -> Iterator[tuple[str, str, yaml.Node]]:
        """(key, its path, value) of a mapping; each key once."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, where or "the file", "not a mapping", "write KEY: VALUE lines")
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, where or "the file", "a key that is no text", "write KEY: VALUE lines")
            name = f"{where}.{key.value}" if where else key.value
            if key.value in seen:
                raise self._wrong(key, name, "given twice", "keep one of them")
            seen.add(key.value)
            yield key.value, name, value

    def _theme(self, node: yaml.Node, name: str) -> str:
        if isinstance(node, yaml.ScalarNode) and node.value in THEMES:
            return str(node.value)
        raise self._wrong(node, name, f"no theme {getattr(node, 'value', '')!r}", f"one of {', '.join(THEMES)}")

    def _bool(self, node: yaml.Node, name: str) -> bool:
        if isinstance(node, yaml.ScalarNode) and node.tag == _BOOL:
            return str(node.value).lower() in ("true", "yes", "on")
        raise self._wrong(
            node, name, f"{getattr(node, 'value', '')!r} is neither true nor false", "write true or false"
        )

    def _wrong(self, node: yaml.Node, name: str, cause: str, fix: str) -> SettingsError:
        line = node.start_mark.line + 1 if node.start_mark else 0
        return SettingsError(f"{self._path}:{line}: {name}", cause, fix)
