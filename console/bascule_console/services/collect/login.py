"""Credentials for a source: from the keyring, else asked; kept only there, and only once they were accepted."""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections.abc import Callable, Iterator
from typing import Any

from bascule.text import escape
from bascule_console.services.collect.hypervisor import Ask
from bascule_console.services.secrets import Secret, keep, recall

USER, PASSWORD, CONFIRM = "user", "password", "confirm"


def on_terminal(question: str, echo: bool) -> str:
    """Ask on the terminal; "" without one. For the time before an app takes it."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    asked = f"{escape(question)}: "
    if not echo:
        return getpass.getpass(asked, stream=sys.stderr).strip()
    sys.stderr.write(asked)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


class Login:
    """The credentials of one opening. `asking` while the operator is asked, who may take their time."""

    def __init__(self, source: str, ask: Ask | None) -> None:
        self._source = source
        self._ask = ask
        self._given: dict[str, Secret] = {}
        self._accepted: dict[str, Secret] = {}
        self.asking = False
        self.recalled = False
        self.unanswered = ""

    def answer(self, kind: str, question: str) -> str:
        """What the source wants to know; "" when nobody tells. A CONFIRM is never kept."""
        name = self.place(kind)
        if name in self._accepted:
            return self._accepted[name].reveal()
        held = recall(name) if kind != CONFIRM else None
        if held is not None:
            self.recalled = True
            return held.reveal()
        if self._ask is None:
            self.unanswered = question
            return ""
        self.asking = True
        try:
            asked = Secret(self._ask(question, kind != PASSWORD))
        finally:
            self.asking = False
        if not asked:
            self.unanswered = question
        elif kind != CONFIRM:
            self._given[name] = asked
        return asked.reveal()

    def place(self, kind: str) -> str:
        """The name under which the keyring has it."""
        return f"{kind} {self._source}"

    def accepted(self) -> None:
        """They were right: keep them, where there is a keyring, and know them while this connection lasts."""
        for name, secret in self._given.items():
            keep(name, secret)
        self._accepted |= self._given
        self._given.clear()


@contextlib.contextmanager
def terminal_as_it_was() -> Iterator[None]:
    """A question that is abandoned (Ctrl-C) leaves its thread behind; the terminal gets its echo back all the same."""
    restore: Callable[[], Any] | None = None
    with contextlib.suppress(Exception):
        import termios

        number = sys.stdin.fileno()
        attributes = termios.tcgetattr(number)

        def restore() -> None:
            termios.tcsetattr(number, termios.TCSANOW, attributes)

    try:
        yield
    finally:
        if restore is not None:
            restore()
