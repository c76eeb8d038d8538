"""What every screen has: banner, crumbs, prompt, ledger and status, footer, keys from the registry, and a clock.

A screen overrides `body` (its widgets, mostly TableBlocks) and has the `action_<id>` methods of its own actions. It
reads the store when one of its TOPICS changed, at TICK_HZ at most, and only while it is shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.screen import Screen

from bascule_console.actions.bindings import keys
from bascule_console.actions.registry import find
from bascule_console.screens import words
from bascule_console.store.topics import AGENTS, INVENTORY, RIGHTS
from bascule_console.widgets.filtering import FilterError, TextFilter, parse_filter
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.keybar import KeyBar
from bascule_console.widgets.lines import Line
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock

if TYPE_CHECKING:
    from textual.widgets import Input

    from bascule_console.app import BasculeApp

LINES_EVERY_S, STILL_EVERY_S = 0.25, 1.0
# These run before any widget sees the key. For the prompts that is what makes the keys that follow in the same burst
# (a paste, a slow line) theirs, and not the table's.
FIRST = frozenset({"switch_table", "filter", "command"})
TYPED = "x"


class BasculeScreen(Screen[None]):
    """A mode's screen, or one that is pushed over it for one object (then `crumb` names that object)."""

    MODE: ClassVar[str] = ""
    TOPICS: ClassVar[tuple[str, ...]] = (INVENTORY, AGENTS)
    TICK_HZ: ClassVar[float] = 10.0
    app: BasculeApp

    def __init__(self) -> None:
        super().__init__()
        self._wanted: Hashable = None
        self._tick_ms = 0.0
        self._on_top = asyncio.Event()
        self._owing = False
        for key in keys(self.MODE):
            self._bindings.bind(key.key, key.action, key.label, show=key.footer, priority=key.action in FIRST)

    # -- what a screen overrides ------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """The screen's own widgets, between banner and status."""
        raise NotImplementedError

    def refresh_rows(self) -> None:
        """A topic changed: take it in. By default every table does."""
        for table in self.tables:
            table.tick()

    def refresh_lines(self) -> None:
        """Four times a second: titles and empty states. By default every TableBlock does."""
        for block in self.query(TableBlock):
            block.show()

    def show_key(self, key: Hashable) -> bool:
        """Put the cursor on the row of `key`; False while it is not there yet."""
        return any(table.show_key(key) for table in self.tables)

    def subject(self) -> tuple[str, str] | None:
        """(plural, key) in the inventory of the object under the cursor, for `y`; None when there is none."""
        return None

    def read_filter(self, table: GridTable[Any] | None, text: str) -> TextFilter:
        """What was typed as a filter of `table`. Raises FilterError."""
        return parse_filter(text)

    def filter_help(self, table: GridTable[Any]) -> tuple[str, Callable[[str], Sequence[str]]]:
        """What to say and to offer while a filter of `table` is typed."""
        return "regular expression, ! inverts, -l labels, empty shows all", lambda _: ()

    def say_filter(self, error: FilterError) -> None:
        """Say what is wrong with the filter in the prompt."""
        self.app.say(error)

    @property
    def crumb(self) -> str:
        """What the crumbs call a pushed screen."""
        return self.MODE

    # -- what a screen uses -----------------------------------------------------------------------------------

    @property
    def glyphs(self) -> Glyphs:
        """The symbols of this terminal."""
        return self.app.glyphs

    @property
    def tables(self) -> list[GridTable[Any]]:
        """Every table on the screen, in order."""
        return [*self.query(GridTable)]

    @property
    def active(self) -> GridTable[Any] | None:
        """The table that keys act on: the focused one, else the first."""
        tables = self.tables
        return next((table for table in tables if table.has_focus), tables[0] if tables else None)

    def arrive(self, key: Hashable) -> None:
        """Come here about the row of `key`, as soon as there is one."""
        self._wanted = key
        if self.is_mounted:
            self._settle()

    def filter_by(self, text: str) -> None:
        """Filter the active table by what was typed. Raises FilterError."""
        if (table := self.active) is not None:
            table.set_filter(self.read_filter(table, text))
            self.refresh_lines()

    # -- the frame --------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Line(id="banner")
        yield from self.body()
        yield Line(id="crumbs")
        yield Line(id="ledger")
        yield KeyBar()

    def on_mount(self) -> None:
        """Start the clock: rows at the tick rate, lines of text at four a second; when all is still, at one."""
        self._changes = self.app.store.topics.subscribe(*self.TOPICS, RIGHTS)
        self._clock = asyncio.create_task(self._run_clock(), name=f"clock of {self.MODE}")
        self.tick()
        self.show_lines()

    def on_unmount(self) -> None:
        """The clock ends with the screen."""
        self._clock.cancel()

    def on_screen_suspend(self) -> None:
        """Another screen is shown."""
        self._on_top.clear()

    def on_screen_resume(self) -> None:
        """Shown again: the clock runs."""
        if not self._on_top.is_set():
            self._on_top.set()
            if self.is_mounted:
                self.tick()
                self.show_lines()

    async def _run_clock(self) -> None:
        # Not Textual's timers: they cost a message through two queues for every tick, also when nothing has changed.
        fast, since_lines, moved, still = 1 / self.app.tick_hz(self.TICK_HZ), 0.0, False, 0.0
        while True:
            if still < STILL_EVERY_S or self._owing:
                passed = fast
                await asyncio.sleep(fast)
            else:  # nothing to do before something changes, but to say how old the news are
                passed = await self._changes.sleep(STILL_EVERY_S - since_lines)
            if self not in self.app.screen_stack:  # another mode is shown
                await self._on_top.wait()
            since_lines, still = since_lines + passed, still + passed
            if self._owing or self._changes.waiting():
                moved, still = True, 0.0
                self.call_next(self.tick)
            if since_lines >= (LINES_EVERY_S if moved else STILL_EVERY_S):
                since_lines, moved = 0.0, False
                self.call_next(self.show_lines)

    def tick(self) -> None:
        """Take in what changed since the last tick."""
        if not self.is_running:  # closing: the widgets have gone, and a tick was still owed
            return
        changed = self._changes.take()
        if RIGHTS in changed:
            self.refresh_bindings()
        began = time.thread_time()
        if changed:
            self.refresh_rows()
            self._settle()
        else:
            for table in self.tables:
                table.tick()
        self._owing = any(table.view.owes for table in self.tables)
        self._tick_ms = 0.8 * self._tick_ms + 0.2 * (time.thread_time() - began) * 1000

    def show_lines(self) -> None:
        """Everything that is words."""
        if not self.query("#ledger"):  # not composed yet, or closing already
            return
        store, app, glyphs = self.app.store, self.app, self.glyphs
        for table in self.tables:
            table.tick()  # a large table may still owe a reordering
            self._owing |= table.view.owes
        self.refresh_lines()
        guard = app.guard
        banner = self.query_one("#banner", Line)
        banner.set_class(guard.read_only or guard.protected, "-guarded")
        banner.show(*words.banner(store, app.context, glyphs, read_only=guard.read_only, protected=guard.protected))
        self.query_one("#crumbs", Line).show(*words.crumbs(app.crumbs(), glyphs))
        frozen = any(table.view.frozen for table in self.tables)
        right = words.status(store, self._tick_ms, time.time_ns(), frozen=frozen, glyphs=glyphs)
        self.query_one("#ledger", Line).show(words.ledger(store, glyphs), right)

    def _settle(self) -> None:
        if self._wanted is not None and self.show_key(self._wanted):
            self._wanted = None

    # -- which keys are there ---------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An action is there when the screen has it, the guard permits it, and it makes sense now."""
        found = find(action)
        if found is None:
            return True
        if not hasattr(self, f"action_{action}") or not self.app.permits(found):
            return False
        if action in FIRST and self.focused is not None and self.focused.check_consume_key(TYPED, TYPED):
            return False  # whoever has the keys is typing
        if action == "switch_table":
            return len(self.tables) > 1
        if action == "show_yaml":
            return type(self).subject is not BasculeScreen.subject
        return True

    # -- actions of every screen ------------------------------------------------------------------------------

    def action_switch_table(self) -> None:
        """The next table takes the keys."""
        tables = self.tables
        at = next((at for at, table in enumerate(tables) if table.has_focus), -1)
        tables[(at + 1) % len(tables)].focus()
        self.show_lines()

    def action_sort_next(self) -> None:
        """Order the active table by its next column."""
        if (table := self.active) is not None:
            table.sort_next()

    def action_sort_reverse(self) -> None:
        """Turn the active table's order round."""
        if (table := self.active) is not None:
            table.sort_reverse()

    async def action_filter(self) -> None:
        """Type a filter for the active table."""
        if (table := self.active) is not None:
            hint, candidates = self.filter_help(table)
            await self._type("/", hint, table.view.filter.text, candidates)

    async def action_command(self) -> None:
        """Type where to go."""
        await self._type(":", "where to, for example vms; tab completes", "", self.app.commands)

    async def _type(self, kind: str, hint: str, text: str, candidates: Any) -> None:
        from bascule_console.widgets.prompt import Prompt  # an input costs more to load than the first paint has

        if left := self.query(Prompt):  # the focus went elsewhere by a click
            await left.remove()
        self._typing_for = self.active
        prompt = Prompt(kind, hint, text, self.app.histories[kind], candidates)
        self.query_one("#crumbs").display = False
        await self.mount(prompt, after="#crumbs")
        self.set_focus(prompt.input)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do what was typed, or say what is wrong with it and keep the line open."""
        from bascule_console.widgets.prompt import Prompt, PromptInput

        if not isinstance(event.input, PromptInput):
            return
        event.stop()
        prompt, text = self.query_one(Prompt), event.value
        if prompt.kind == "/":
            try:
                wanted = self.read_filter(self._typing_for, text)
            except FilterError as error:
                self.say_filter(error)
                return
            if self._typing_for is not None:
                self._typing_for.set_filter(wanted)
            await self._end_typing(text)
            return
        await self._end_typing(text)
        self.app.run_command(text)

    async def on_prompt_input_left(self) -> None:
        """The prompt was left without a change."""
        await self._end_typing("")

    async def _end_typing(self, entered: str) -> None:
        from bascule_console.widgets.prompt import Prompt

        prompt = self.query_one(Prompt)
        self.app.histories[prompt.kind].add(entered)
        back = self._typing_for
        if back is not None:
            self.set_focus(back)
        await prompt.remove()
        self.query_one("#crumbs").display = True
        self.show_lines()

    def action_show_yaml(self) -> None:
        """The object under the cursor as the cluster has it."""
        subject = self.subject()
        if subject is not None:
            self.app.show_yaml(*subject)

    def action_back(self) -> None:
        """To where one came from."""
        self.app.back()

    def action_command_palette(self) -> None:
        """Search every action and place."""
        self.app.action_command_palette()

    def action_help(self) -> None:
        """What the keys do, from the bindings that are live now."""
        self.app.show_help(self)

    def action_quit(self) -> None:
        """End the app."""
        self.app.exit()
