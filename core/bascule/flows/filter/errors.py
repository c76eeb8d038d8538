"""What is wrong with a filter, and at which character."""

from __future__ import annotations

from bascule.errors import UsageError


class FilterError(UsageError):
    """A filter that does not parse; `at` is the 0-based character where it went wrong, `length` how many are wrong."""

    def __init__(self, text: str, at: int, problem: str, fix: str = "", length: int = 1) -> None:
        super().__init__(f"filter: {problem}, at character {at + 1}", cause=f"{text}", fix=fix)
        self.text, self.at, self.length, self.problem = text, at, max(1, length), problem

    @property
    def caret(self) -> str:
        """A line to print below the text: `^` under what is wrong."""
        return " " * self.at + "^" * self.length
