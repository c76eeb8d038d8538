"""The `/` filter over a table: one case-insensitive regular expression, `!` before it inverts. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bascule.errors import UsageError


class FilterError(UsageError):
    """A filter text that cannot be read."""


@dataclass(frozen=True)
class TextFilter:
    """What a row's searchable text must (or, inverted, must not) contain; an empty text keeps every row."""

    text: str = ""
    inverted: bool = False
    pattern: re.Pattern[str] | None = None

    def keeps(self, haystack: str) -> bool:
        """Whether a row with this searchable text stays."""
        if self.pattern is None:
            return True
        return (self.pattern.search(haystack) is None) == self.inverted


def parse_filter(text: str) -> TextFilter:
    """A filter from what was typed; FilterError names the place where the expression breaks."""
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
