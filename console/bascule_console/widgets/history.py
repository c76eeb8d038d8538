"""What was entered in a prompt, to walk through with up and down. Pure."""

from __future__ import annotations

KEPT = 100


class History:
    """What was entered, newest last, without repetitions; `older` and `newer` walk it from a draft. Pure."""

    def __init__(self) -> None:
        self._entries: list[str] = []
        self._at = 0
        self._draft = ""

    def add(self, text: str) -> None:
        """Remember an entry and stand behind the newest."""
        if text:
            self._entries = [*(entry for entry in self._entries if entry != text), text][-KEPT:]
        self.rewind()

    def rewind(self) -> None:
        """Stand behind the newest entry."""
        self._at = len(self._entries)

    def older(self, draft: str) -> str:
        """The entry before; the oldest stays. `draft` is kept for the way back."""
        if self._at == len(self._entries):
            self._draft = draft
        self._at = max(0, self._at - 1)
        return self._entries[self._at] if self._entries else draft

    def newer(self, draft: str) -> str:
        """The entry after, and behind the newest the draft."""
        if self._at >= len(self._entries):
            return draft
        self._at += 1
        return self._entries[self._at] if self._at < len(self._entries) else self._draft
