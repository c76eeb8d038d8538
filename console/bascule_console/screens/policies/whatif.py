"""What-if: every talker whose verdict would change, as a screen of its own or over the editor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from bascule.errors import BasculeError
from bascule.policy.forecast import Forecast, forecast
from bascule.policy.model import Identity
from bascule.policy.whatif import WhatIf
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.policies.columns import talker_columns
from bascule_console.screens.policies.propose import WINDOW_S
from bascule_console.screens.policies.words import about_talker, summary, window_words
from bascule_console.screens.policies.work import work
from bascule_console.services.policyflows import window
from bascule_console.services.policyimpact import after, talker_rows
from bascule_console.store.derived import Derived
from bascule_console.store.topics import POLICIES
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

Row = dict[str, Any]


def _searchable(row: Row) -> str:
    return f"{row['source']} {row['destination']} {row['proto']} {row['port']} {row['after']} {row['rule_after']}"


class WhatIfScreen(DetailedScreen[Row]):
    """Recorded traffic under one staged policy, or under all of them (`identity` None)."""

    MODE = "policies"
    TOPICS = (POLICIES,)
    AUTO_FOCUS = "#talkers"

    def __init__(self, identity: Identity | None) -> None:
        super().__init__()
        self._identity = identity
        self._rows: dict[int, Row] = {}
        self._said = "judging recorded flows …"

    @property
    def crumb(self) -> str:
        """What is judged."""
        return f"what if {'all staged' if self._identity is None else self._identity[2]}"

    def block(self) -> TableBlock[Row]:
        """The talkers."""
        source = Derived(self.app.store.topics, self.TOPICS, lambda: self._rows, _searchable)
        columns = talker_columns(self.glyphs)
        return TableBlock("Talkers", columns, source, self.glyphs, id="talkers", empty=self._empty, extra=self._counts)

    def detail(self, row: Row) -> list[Parts]:
        """Both verdicts with the rules that give them."""
        return about_talker(row, self.glyphs)

    def on_mount(self) -> None:
        """Judge, beside the screen."""
        work(self, self._judge, "judge")

    async def _judge(self) -> None:
        book = self.app.store.policy
        try:
            flows = await window(self.app.session, self.app.store, WINDOW_S)
        except BasculeError as error:
            self._said = error.message
            return
        if book.world is None or flows.records is None:
            self._said = flows.why or "policies are not read yet"
            return
        found = await asyncio.to_thread(self._forecast, flows.records)
        self._rows = dict(enumerate(talker_rows(found, book.world.endpoints)))
        self._said = summary(found, window_words(found.judged, WINDOW_S, flows.silent))
        book.worked_out()
        self.show_lines()

    def _forecast(self, records: Any) -> Forecast:
        world = self.app.store.policy.world
        assert world is not None
        if self._identity is None or self._identity not in world.raw:
            then = world.live.with_staged()
        else:
            then = after(world, world.raw[self._identity])
        return forecast(records, world.judge, WhatIf(then, world.endpoints))

    def _counts(self) -> Parts:
        return [(f"  {self._said}", "")] if self._rows else []

    def _empty(self) -> list[str]:
        return [self._said[:1].upper() + self._said[1:] + ".", "Next: esc"]


class WhatIfDialog(ModalScreen[None]):
    """The talkers of a forecast that was made already, over the editor."""

    DEFAULT_CSS = """
    WhatIfDialog { align: center middle; background: $background 60%; }
    WhatIfDialog > Vertical {
        width: 140; max-width: 100%; height: 90%; background: $surface; color: $foreground; border: round $primary;
        padding: 0 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f5", "dismiss", "Close")]
    app: BasculeApp

    def __init__(self, found: Forecast) -> None:
        super().__init__()
        self._forecast = found

    def compose(self) -> ComposeResult:
        world = self.app.store.policy.world
        rows = dict(enumerate(talker_rows(self._forecast, world.endpoints if world is not None else ())))
        source = Derived(self.app.store.topics, (), lambda: rows, _searchable)
        with Vertical() as box:
            box.border_title, box.border_subtitle = "What if", "esc close"
            yield TableBlock(
                "Talkers", talker_columns(self.app.glyphs), source, self.app.glyphs,
                id="talkers", empty=lambda: ["No talker gets another verdict.", "Next: esc"],
            )  # fmt: skip

    def on_mount(self) -> None:
        """Paint it once; nothing changes here."""
        block = self.query_one(TableBlock)
        block.table.focus()
        block.table.tick()
        block.show()
