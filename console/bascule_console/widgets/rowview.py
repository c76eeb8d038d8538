"""Which rows a table shows and in which order, apart from how they are painted. Pure: no Textual.

Rows are known by identity. The cursor sits on an identity, so a refresh never moves it to another row; freezing holds
the rows as they were while the source keeps taking in, and says how many are newer and how many were lost since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from bascule_console.store.lazyrows import held, some_of, stamps_of
from bascule_console.widgets.columns import Column
from bascule_console.widgets.filtering import TextFilter

R = TypeVar("R")
MANY_ROWS = 5_000
REORDER_EVERY_S = 0.5
SLICE_S = 0.02  # how long one update may look at rows it has not judged yet, before keys get their turn
SLICE_ROWS = 256


class RowSource(Protocol[R]):
    """Where rows come from. Rows are immutable: a changed row is a new object under the same identity."""

    @property
    def version(self) -> int:
        """Grows with every change."""

    @property
    def intake(self) -> int:
        """Rows that ever arrived or changed."""

    @property
    def lost(self) -> int:
        """What never became a row."""

    def rows(self) -> Mapping[Hashable, R]:
        """Current rows by identity, in order of arrival."""

    def searchable(self, row: R) -> str:
        """The text that a filter looks at."""

    def labels(self, row: R) -> Mapping[str, str]:
        """The labels of the object behind the row, for `-l`; none where nothing has labels."""


@dataclass(frozen=True)
class Sort:
    """Order by a column; no column means order of arrival."""

    column: str = ""
    reverse: bool = False


class RowView(Generic[R]):
    """The ordered, filtered rows of one table. `clock` gives seconds and paces reordering of large tables."""

    def __init__(self, source: RowSource[R], columns: Sequence[Column[R]], clock: Callable[[], float]) -> None:
        self.source = source
        self.columns = {c.id: c for c in columns}
        self.order: list[Hashable] = []
        self.cursor: Hashable | None = None
        self.filter = TextFilter()
        self.sort = Sort()
        self.follow = False
        self.frozen = False
        self._held: Mapping[Hashable, R] = {}
        self._at = 0  # where the cursor was last seen
        self._facts: dict[Hashable, tuple[object, bool, Any]] = {}  # what the row was, whether it is kept, its rank
        self._version = -1
        self._clock = clock
        self._ordered_at = -REORDER_EVERY_S
        self._stale = False
        self._unjudged = False
        self._mark = (0, 0)

    def __len__(self) -> int:
        return len(self.order)

    def row(self, position: int) -> R | None:
        """The row at a position; None when it left since the last ordering."""
        return self._current().get(self.order[position])

    def update(self) -> bool:
        """Take in what changed; True when something visible may differ. Frozen: never."""
        if self._unjudged:
            self._reorder()
            return True
        if self.frozen or (self.source.version == self._version and not self._stale):
            return False
        self._version = self.source.version
        many = len(self._current()) > MANY_ROWS
        if many and self._clock() - self._ordered_at < REORDER_EVERY_S:
            self._stale = True
        else:
            self._stale = False
            self._reorder()
        return True

    @property
    def owes(self) -> bool:
        """Whether rows are left to judge: call `update` again soon, also when nothing changes."""
        return self._unjudged

    def cursor_position(self) -> int:
        """Where the cursor's row is now; 0 when it has none or its row left."""
        order, at = self.order, self._at
        if not (at < len(order) and order[at] == self.cursor):
            self._at = self.position(self.cursor) or 0
        return self._at

    def position(self, key: Hashable) -> int | None:
        """Where the row of that identity is; None when it is not shown."""
        try:
            return self.order.index(key)
        except ValueError:
            return None

    def cursor_row(self) -> R | None:
        """The row under the cursor, or None in an empty table."""
        return self.row(self.cursor_position()) if self.order else None

    def move_cursor(self, position: int) -> None:
        """Put the cursor on the row at `position`, within bounds; upwards ends follow mode."""
        if not self.order:
            return
        position = max(0, min(len(self.order) - 1, position))
        if position < self.cursor_position():
            self.follow = False
        self.cursor, self._at = self.order[position], position

    def set_filter(self, wanted: TextFilter) -> None:
        """Show only rows that `wanted` keeps; also while frozen, over the held rows."""
        self.filter = wanted
        self._facts.clear()
        self._reorder()

    def set_sort(self, sort: Sort) -> None:
        """Order by `sort` from now on; any order but that of arrival ends follow mode."""
        self._facts.clear()
        self.sort = sort
        if sort.column:
            self.follow = False
        self._reorder()

    def freeze(self, frozen: bool) -> None:
        """Hold the view, or let it catch up. Intake never stops."""
        if frozen == self.frozen:
            return
        self._held = held(self.source.rows()) if frozen else {}
        self.frozen = frozen
        self._mark = (self.source.intake, self.source.lost)
        self._version = -1
        if frozen:  # what came since the last tick is held too: it must not turn up when somebody filters or sorts
            self._reorder()

    def newer(self) -> int:
        """Rows that arrived or changed since the freeze."""
        return self.source.intake - self._mark[0] if self.frozen else 0

    def lost_since(self) -> int:
        """What was lost since the freeze."""
        return self.source.lost - self._mark[1] if self.frozen else 0

    def _current(self) -> Mapping[Hashable, R]:
        return self._held if self.frozen else self.source.rows()

    def _reorder(self) -> None:
        rows = self._current()
        column = self.columns.get(self.sort.column)
        if column is None and self.filter.everything:
            order = list(rows)
        else:
            self._judge(rows, column)
            facts = self._facts
            order = [key for key in rows if key in facts and facts[key][1]]
        if column is not None:
            order.sort(key=lambda key: self._facts[key][2], reverse=self.sort.reverse)
        elif self.sort.reverse:
            order.reverse()
        if order != self.order:
            self._keep_cursor(order)
            self.order = order
        self._ordered_at = self._clock()

    def _judge(self, rows: Mapping[Hashable, R], column: Column[R] | None) -> None:
        """Filter and rank the rows that are new or changed; of very many, as much as a slice of time allows."""
        facts, known = self._facts, self._facts.get
        stale = [each for each in stamps_of(rows) if (fact := known(each[0])) is None or fact[0] is not each[1]]
        self._unjudged = False
        ends = time.perf_counter() + SLICE_S
        for at in range(0, len(stale), SLICE_ROWS):
            part = stale[at : at + SLICE_ROWS]
            some = some_of(rows, [key for key, _ in part])
            for (key, stamp), row, keeps in zip(part, some, self._keep(some), strict=True):
                facts[key] = (stamp, keeps, column.order(row) if column is not None and keeps else None)
            more = at + SLICE_ROWS < len(stale)
            if more and len(rows) > MANY_ROWS and time.perf_counter() > ends:
                self._unjudged = True
                return
        if len(facts) > 2 * len(rows) + SLICE_ROWS:  # of rows that left
            self._facts = {key: facts[key] for key in rows}

    def _keep(self, rows: Sequence[R]) -> Sequence[bool]:
        if self.filter.judge is not None:
            return self.filter.judge(rows)
        return [self._keeps(row) for row in rows]

    def _keeps(self, row: R) -> bool:
        if self.filter.labels:
            return self.filter.keeps_labels(self.source.labels(row))
        return self.filter.pattern is None or self.filter.keeps(self.source.searchable(row))

    def _keep_cursor(self, order: list[Hashable]) -> None:
        old = self.cursor_position()
        if not order:
            return
        if self.follow:
            self.cursor, self._at = order[-1], len(order) - 1
            return
        try:
            self._at = order.index(self.cursor)
        except ValueError:
            # The row left: its neighbour takes the cursor, so that the eye stays where it was.
            self._at = min(old, len(order) - 1)
            self.cursor = order[self._at]
