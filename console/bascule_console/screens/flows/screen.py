"""The flow screen: every flow, top talkers, drops or ARP, with facets beside and one flow's detail below."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal

from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.flows.columns import (
    arp_columns,
    drop_columns,
    facet_columns,
    talker_columns,
    wide_columns,
)
from bascule_console.screens.flows.filtering import FlowFiltering
from bascule_console.screens.flows.words import about, one_line
from bascule_console.screens.live import words
from bascule_console.store import flowviews
from bascule_console.store.derived import Derived
from bascule_console.store.flowline import FlowLine
from bascule_console.store.flowviews import SECONDS, WAYS, FacetRow, TopRow
from bascule_console.store.topics import AGENTS, FLOWS
from bascule_console.store.vms import VMS
from bascule_console.widgets.columns import Column
from bascule_console.widgets.detail import Detail, Split
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.rowview import Sort
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock

if TYPE_CHECKING:
    from bascule.flows.facets import Facets

DETAIL_EVERY_S = 0.25
VIEWS_EVERY_S = 1.0
VIEWS = ("flows", "talkers", "drops", "arp")
GROUPED = "flow views"  # this screen's own topic: its groups are made anew
ONLY_FLOWS = frozenset({"numbers", "follow", "copy_row", "copy_json", "go_vm", "show_yaml"})
ONLY_TALKERS = frozenset({"next_way", "next_span"})
ROOMY = 110
WIDE = 150  # from this width on the facets stand there unasked


class FlowsScreen(FlowFiltering, DetailedScreen[FlowLine]):
    """Flows. The detail is shown when asked for: rows matter more."""

    MODE = "flows"
    TOPICS = (FLOWS, AGENTS)
    TICK_HZ = 20.0
    AUTO_FOCUS = "#flows"
    CSS_PATH = "screen.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._view = "flows"
        self._by: tuple[str, ...] = WAYS[0]
        self._seconds = SECONDS[1]
        self._counted = self._no_counts()
        self._numbers = self._detailed = False
        self._faceted: bool | None = None  # None: as wide as the screen is
        self._shown_at = self._grouped_at = 0.0

    def body(self) -> ComposeResult:
        """Four views of which one is shown, facets, detail."""
        with Split():
            with Horizontal(id="views"):
                yield self.block()
                yield self._grouped("Top talkers", "talkers", talker_columns(self.glyphs, self._by), self._talkers)
                yield self._grouped("Drops", "drops", drop_columns(self.glyphs), self._drops)
                yield self._grouped("ARP and RARP", "arp", arp_columns(self.glyphs), self._arps)
                yield self._grouped("Facets", "facets", facet_columns(self.glyphs), self._facets)
            yield Detail(id="detail")

    def block(self) -> TableBlock[FlowLine]:
        """The flows in order of arrival, following."""
        store = self.app.store
        return TableBlock(
            "Flows",
            self._columns(),
            store.flows,
            self.glyphs,
            id="flows",
            empty=lambda: words.no_flows(store) or ["No node is known yet."],
            follow=True,
        )

    def _columns(self) -> list[Column[FlowLine]]:
        roomy = self.app.size.width >= ROOMY
        return wide_columns(self.glyphs, self.app.store.flows.series, numbers=self._numbers, roomy=roomy)

    def detail(self, row: FlowLine) -> list[Parts]:
        """Everything that is known about one flow."""
        if not self._detailed or self._view != "flows":
            return []
        flows = self.app.store.flows
        return about(row, self.glyphs, flows.series(row), flows.conversation(row))

    @property
    def table(self) -> GridTable[FlowLine]:
        """The flow table."""
        return self.query_one("#flows", GridTable)

    @property
    def _built(self) -> bool:
        """Whether the widgets stand; containers are filled one after the other."""
        return len(super().tables) == len(VIEWS) + 1

    @property
    def tables(self) -> list[GridTable[Any]]:
        """Those that are shown."""
        return [table for table in super().tables if table.parent is not None and table.parent.display]

    def subject(self) -> tuple[str, str] | None:
        """The VM at whose port the flow was seen."""
        row = self.row
        return (VMS, f"{row.row['namespace']}/{row.row['vm']}") if row and row.row["vm"] else None

    # -- showing ----------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Facets stand where there is room for them, and reasons are whole."""
        if self._built:  # the first size comes before the widgets
            self._show_facets()
            self.table.set_columns(self._columns())

    def refresh_lines(self) -> None:
        """Groups are made anew once a second; a frozen view stays as it is."""
        now = time.monotonic()
        if self._built and now - self._grouped_at >= VIEWS_EVERY_S and not self.table.view.frozen:
            self._show_facets()
            self._regroup()
        super().refresh_lines()

    def _regroup(self) -> None:
        self._grouped_at = time.monotonic()
        self.app.store.topics.touch(GROUPED)
        for table in self.tables:
            table.tick()

    def _grouped(
        self, title: str, name: str, columns: list[Column[Any]], make: Callable[[], Mapping[Any, Any]]
    ) -> TableBlock[Any]:
        source: Derived[Any] = Derived(self.app.store.topics, (GROUPED,), make, lambda row: str(row.values))
        extra: Callable[[], Parts] = (list) if name == "facets" else self._about_groups
        made = TableBlock(
            title, columns, source, self.glyphs, id=name, empty=lambda: [f"None in {self._over(name)}."], extra=extra
        )
        made.display = False
        return made

    def _over(self, name: str) -> str:
        return f"the last {self._seconds if name == 'talkers' else 60} s"

    def _about_groups(self) -> Parts:
        """What is grouped, over how long, and under which filter."""
        by = f"  by {', '.join(self._by)}" if self._view == "talkers" else ""
        text, cut = (self.table.view.filter.text if self._built else ""), self.app.store.flows.cut
        filtered: Parts = [(f"  /{text}", "busy")] if text else []
        room: Parts = [(f"  {cut} frames had no room here", "bad")] if cut else []
        missing = self.app.store.flows.uncounted if self._view == "drops" else {}
        blind: Parts = [(f"  kernel drops not counted: {node}: {why}", "bad") for node, why in missing.items()]
        return [(f"{by}  over {self._over(self._view)}", "muted"), *filtered, *room, *blind]

    def _flow_filter(self) -> Any:
        from bascule.flows.filter import read_filter

        return read_filter(self.table.view.filter.text)

    def _talkers(self) -> dict[Hashable, TopRow]:
        flows, shown = self.app.store.flows, self._view == "talkers"
        return flowviews.talkers(flows, self._flow_filter(), self._by, self._seconds) if shown else {}

    def _no_counts(self) -> Facets:
        from bascule.flows.facets import Facets  # numpy: not before a flow screen is opened

        return Facets(flowviews.FACETS)

    def _drops(self) -> dict[Hashable, TopRow]:
        return flowviews.drops(self.app.store.flows, self._flow_filter()) if self._view == "drops" else {}

    def _arps(self) -> dict[Hashable, TopRow]:
        return flowviews.arps(self.app.store.flows, self._flow_filter()) if self._view == "arp" else {}

    def _facets(self) -> dict[Hashable, FacetRow]:
        found = self.query("#facets-block")
        if not found or not found.first().display:
            return {}
        return flowviews.facets(self.app.store.flows, self._counted, self._flow_filter())

    def _show_view(self, name: str) -> None:
        self._view = name
        for each in VIEWS:
            self.query_one(f"#{each}-block").display = each == name
        self._show_facets()
        self.query_one(f"#{name}", GridTable).focus()
        self._regroup()
        self.refresh_bindings()

    def _show_facets(self) -> None:
        wide = self.app.size.width >= WIDE and self._view == "flows"
        self.query_one("#facets-block").display = wide if self._faceted is None else self._faceted

    def _show_detail(self) -> None:
        # Following moves the cursor at every tick; words that fast are not read, and wrapping them costs.
        now = time.monotonic()
        if not self._built:
            return
        if self.table.view.follow and now - self._shown_at < DETAIL_EVERY_S and self.query_one(Detail).display:
            return
        self._shown_at = now
        super()._show_detail()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is about single flows is there when they are shown; what is about talkers, with them."""
        if action in ONLY_FLOWS and self._view != "flows" or action in ONLY_TALKERS and self._view != "talkers":
            return False
        return super().check_action(action, parameters)

    # -- actions ----------------------------------------------------------------------------------------------

    def action_show_flows(self) -> None:
        """Every flow."""
        self._show_view("flows")

    def action_show_talkers(self) -> None:
        """What talks most."""
        self._show_view("talkers")

    def action_show_drops(self) -> None:
        """What did not pass, and why."""
        self._show_view("drops")

    def action_show_arp(self) -> None:
        """Who asks for whom."""
        self._show_view("arp")

    def action_facets(self) -> None:
        """Show or hide the facets."""
        self._faceted = not self.query_one("#facets-block").display
        self._show_facets()
        self._regroup()

    def action_next_way(self) -> None:
        """Group the talkers by the next column."""
        self._by = WAYS[(WAYS.index(self._by) + 1) % len(WAYS)]
        self.query_one("#talkers", GridTable).set_columns(talker_columns(self.glyphs, self._by))
        self._regroup()

    def action_next_span(self) -> None:
        """Rates over 2, 10 or 60 seconds."""
        self._seconds = SECONDS[(SECONDS.index(self._seconds) + 1) % len(SECONDS)]
        self._regroup()

    def action_numbers(self) -> None:
        """Ends by name or by address."""
        self._numbers = not self._numbers
        self.table.set_columns(self._columns())

    def action_open_row(self) -> None:
        """A flow's detail; of a facet, a talker or a drop the flows behind it."""
        active = self.active
        row = active.view.cursor_row() if active is not None else None
        if isinstance(row, FacetRow):
            self._narrow([(row.field, row.value)])
        elif isinstance(row, TopRow):
            # No flow has what a link dropped: those of its node come nearest.
            known = ("node",) if row.note else row.by
            self._narrow([(name, row.value(name)) for name in known if row.value(name)])
        else:
            self._detailed = not self._detailed
            self._show_detail()

    def _narrow(self, terms: list[tuple[str, str]]) -> None:
        text = self.table.view.filter.text
        for field, value in terms:
            text = flowviews.narrowed(text, field, value)
        self.table.set_filter(self.read_filter(self.table, text))
        if self._view != "flows":
            self._show_view("flows")
        self._regroup()
        self.show_lines()

    def filter_by(self, text: str) -> None:
        """Every view of this screen is filtered by the flow table's filter. Raises FilterError."""
        self.table.set_filter(self.read_filter(self.table, text))
        self._regroup()
        self.refresh_lines()

    async def action_filter(self) -> None:
        """Type a filter; it is the flow table's, whichever view is shown."""
        hint, candidates = self.filter_help(self.table)
        await self._type("/", hint, self.table.view.filter.text, candidates)
        self._typing_for = self.table

    async def _end_typing(self, entered: str) -> None:
        await super()._end_typing(entered)
        self.query_one(f"#{self._view}", GridTable).focus()
        self._regroup()

    def action_freeze(self) -> None:
        """Hold the view or let it catch up."""
        self.table.toggle_freeze()
        self.show_lines()

    def action_follow(self) -> None:
        """Follow what comes, in order of arrival; or stop following."""
        view = self.table.view
        if view.follow:
            view.follow = False
        else:
            if view.sort != Sort():
                view.set_sort(Sort())
            self.table.action_last()
        self.show_lines()

    def action_copy_row(self) -> None:
        """The flow under the cursor as one line of text, by OSC 52, which also works over SSH."""
        if self.row:
            self._copy(one_line(self.row), "the flow as text")

    def action_copy_json(self) -> None:
        """The flow under the cursor as JSON, as `bascule flows` writes it."""
        if self.row:
            self._copy(json.dumps(self.row.row), "the flow as JSON")

    def action_go_vm(self) -> None:
        """The VM at whose port the flow was seen."""
        found = self.subject()
        if found is not None:
            self.app.open("vms", found[1])

    def _copy(self, text: str, what: str) -> None:
        self.app.copy_to_clipboard(text)
        self.app.notify(f"copied {what}", markup=False, timeout=2)
