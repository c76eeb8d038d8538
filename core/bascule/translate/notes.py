"""What an importer could not carry, collected while it reads: one line per fact."""

from __future__ import annotations

from bascule.translate.model import Leftover

ERROR, WARNING, INFO = "error", "warning", "info"


class Notes:
    """Leftovers in the order in which they were met; the same fact once."""

    def __init__(self) -> None:
        self.leftovers: list[Leftover] = []
        self._seen: set[Leftover] = set()

    def __call__(self, kind: str, severity: str, rule: str, position: str, what: str, effect: str, todo: str) -> None:
        """Note one leftover (fields as in Leftover)."""
        leftover = Leftover(kind, severity, rule, position, what, effect, todo)
        if leftover not in self._seen:
            self._seen.add(leftover)
            self.leftovers.append(leftover)
