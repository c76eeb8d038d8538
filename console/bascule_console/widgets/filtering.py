"""The `/` filter over a table: a case-insensitive regular expression, `!` inverts; `-l` a label selector. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bascule.errors import UsageError

if TYPE_CHECKING:
    from bascule_console.widgets.labels import Requirement


class FilterError(UsageError):
    """A filter text that cannot be read."""


@dataclass(frozen=True)
class TextFilter:
    """What a row's searchable text must (or, inverted, must not) contain; an empty text keeps every row.

    `judge` decides about rows instead, many at once, where a table has a filter language of its own.
    """

    text: str = ""
    inverted: bool = False
    pattern: re.Pattern[str] | None = None
    labels: tuple[Requirement, ...] = ()
    judge: Callable[[Sequence[Any]], Sequence[bool]] | None = None

    @property
    def everything(self) -> bool:
        """Whether it keeps every row."""
        return self.pattern is None and not self.labels and self.judge is None

    def keeps_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether a row with these labels stays; asked only where `labels` is set."""
        return all(requirement.holds(labels) for requirement in self.labels)

    def keeps(self, haystack: str) -> bool:
        """Whether a row with this searchable text stays."""
        if self.pattern is None:
            return True
        return (self.pattern.search(haystack) is None) == self.inverted


def parse_filter(text: str) -> TextFilter:
    """A filter from what was typed; FilterError names the place where the expression breaks."""
    if re.match(r"-l(\s|$)", text):
        return _by_labels(text)
    inverted = text.startswith("!")
    body = text[1:] if inverted else text
    if not body:
        return TextFilter()
    try:
        pattern = re.compile(body, re.IGNORECASE)
    except re.error as error:
        at = "" if error.pos is None else f" at character {error.pos + 1 + inverted}"
        raise FilterError(
            f"filter {text!r} is not a regular expression",
            cause=f"{error.msg}{at}",
            fix="put a backslash before ( [ * + ? . to search for the character itself",
        ) from error
    return TextFilter(text, inverted, pattern)


def _by_labels(text: str) -> TextFilter:
    from bascule_console.widgets.labels import parse_labels  # its expressions cost 2 ms, which the first paint has not

    try:
        return TextFilter(text, labels=parse_labels(text[2:].strip()))
    except ValueError as error:
        fix = "write it as for kubectl: -l app=web,tier!=db"
        raise FilterError(f"filter {text!r} is no label selector", cause=str(error), fix=fix) from error
