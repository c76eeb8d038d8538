"""From actions to key bindings, as plain tuples: whoever owns keys (the screen) turns them into its own type."""

from __future__ import annotations

from dataclasses import dataclass

from bascule_console.actions.registry import Action, actions


@dataclass(frozen=True, slots=True)
class Key:
    """One binding: key, action id, label, whether the footer shows it."""

    key: str
    action: str
    label: str
    footer: bool


def keys(*, read_only: bool) -> list[Key]:
    """Bindings of a session's actions, in the order of the registry."""
    return [Key(a.key, a.id, a.label, a.footer) for a in actions(read_only=read_only)]


def readable(key: str) -> str:
    """A key's name as people write it."""
    return {"slash": "/", "question_mark": "?", "space": "space"}.get(key, key)


def confirm_text(action: Action, **subject: str) -> str:
    """The question to ask before `action`, about `subject`."""
    return action.confirm.format(**subject)
