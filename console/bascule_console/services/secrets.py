"""Secrets: read from the keyring, or asked on the terminal before the app takes it. Kept nowhere else.

A Secret shows itself as ***; its text is had by `reveal` only, so that no log line, traceback or crash report holds it
by accident. It is never put into arguments or the environment, which every process list shows.
"""

from __future__ import annotations

import getpass
import sys
from typing import Any

SERVICE = "bascule"


class Secret:
    """A text that does not show itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not written anywhere")


def recall(name: str) -> Secret | None:
    """What the keyring has under `name`; None when it has nothing, or when there is no keyring."""
    keyring = _keyring()
    if keyring is None:
        return None
    try:
        text = keyring.get_password(SERVICE, name)
    except keyring.errors.KeyringError:  # locked, or its daemon is gone
        return None
    return Secret(text) if text else None


def keep(name: str, secret: Secret) -> bool:
    """Put it into the keyring; False when there is none that takes it."""
    keyring = _keyring()
    if keyring is None:
        return False
    try:
        keyring.set_password(SERVICE, name, secret.reveal())
    except keyring.errors.KeyringError:
        return False
    return True


def obtain(name: str, question: str) -> Secret:
    """From the keyring, else asked on the terminal without echo (and kept, where there is a keyring).

    Without a terminal, and for an empty answer, an empty Secret.
    """
    held = recall(name)
    if held is not None:
        return held
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return Secret("")
    asked = Secret(getpass.getpass(f"{question}: ", stream=sys.stderr).strip())
    if asked and keep(name, asked):
        print("kept in the keyring", file=sys.stderr)
    return asked


def _keyring() -> Any:
    """The keyring module, when a backend stands behind it."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    backend = keyring.get_keyring()
    return keyring if getattr(backend, "priority", 0) > 0 else None
