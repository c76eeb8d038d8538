"""Typing a flow filter: the language of `bascule flows`, with completion and a caret under what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual.widgets import Input

from bascule_console.screens.base import BasculeScreen
from bascule_console.store.flowfilter import judge_of, values_seen
from bascule_console.widgets.filtering import FilterError, TextFilter
from bascule_console.widgets.lines import Line
from bascule_console.widgets.table import GridTable

FLOWS = "flows"
HINT = "vlan:110 src:web-* verdict:drop !proto:udp; tab completes, empty shows all"


class CaretError(FilterError):
    """A flow filter that does not parse, with the line that points at the character."""

    caret = ""


class FlowFiltering(BasculeScreen):
    """A screen whose table `#flows` takes the flow filter language."""

    def read_filter(self, table: GridTable[Any] | None, text: str) -> TextFilter:
        """The flow language for the flow table, what it is elsewhere for the others."""
        if table is None or table.id != FLOWS:
            return super().read_filter(table, text)
        from bascule.flows.filter import FilterError as Broken
        from bascule.flows.filter import read_filter

        try:
            wanted = read_filter(text)
        except Broken as error:
            raised = CaretError(error.message, error.cause, error.fix)
            raised.caret = error.caret
            raise raised from error
        if wanted.everything:
            return TextFilter()
        return TextFilter(wanted.text, judge=judge_of(wanted))

    def filter_help(self, table: GridTable[Any]) -> tuple[str, Callable[[str], Sequence[str]]]:
        """Fields, and values seen in the last minute."""
        if table.id != FLOWS:
            return super().filter_help(table)
        from bascule.flows.filter import complete

        seen = values_seen(self.app.store.flows)
        return HINT, lambda text: complete(text, seen)

    def say_filter(self, error: FilterError) -> None:
        """A caret under the character, where the prompt is; the rest as a message."""
        if isinstance(error, CaretError):
            self._caret([(f"  {error.caret}", "bad"), (f" {error.fix}", "muted")])
            self.app.notify(error.fix, title=error.message, severity="error", markup=False, timeout=5)
        else:
            super().say_filter(error)

    def on_input_changed(self, event: Input.Changed) -> None:
        """The caret belongs to a text that is not there any more."""
        self._caret([])

    def _caret(self, parts: list[tuple[str, str]]) -> None:
        found = self.query("#filter-caret")
        if found:
            found.first(Line).show(parts)
            found.first().display = bool(parts)
        elif parts:
            line = Line(id="filter-caret")
            self.mount(line, after="#prompt")
            line.show(parts)

    async def _end_typing(self, entered: str) -> None:
        self._caret([])
        await super()._end_typing(entered)
