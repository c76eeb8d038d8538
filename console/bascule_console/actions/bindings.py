"""From actions to key bindings, as plain tuples: whoever owns keys (the screen) turns them into its own type."""

from __future__ import annotations

from dataclasses import dataclass

from bascule_console.actions.model import Action
from bascule_console.actions.registry import actions_in

READABLE = {"slash": "/", "question_mark": "?", "colon": ":", "escape": "esc"}


@dataclass(frozen=True, slots=True)
class Key:
    """One binding: key, action id, label, whether the footer shows it."""

    key: str
    action: str
    label: str
    footer: bool


def keys(mode: str) -> list[Key]:
    """Bindings of a mode's actions, in the order of the registry. What is not allowed now the guard takes out."""
    return [Key(a.key, a.id, a.label, a.footer) for a in actions_in(mode)]


def readable(key: str) -> str:
    """A key's name as people write it."""
    return READABLE.get(key, key)


def confirm_text(action: Action, **subject: str) -> str:
    """The question to ask before `action`, about `subject`."""
    return action.confirm.format(**subject)
