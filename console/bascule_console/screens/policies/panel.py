"""The live panel beside a policy that is being written: what it would do, worked out once the typing rests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bascule.errors import BasculeError
from bascule.lint import lint
from bascule_console.screens.policies.propose import WINDOW_S
from bascule_console.screens.policies.words import impact_lines, window_words
from bascule_console.screens.policies.work import work
from bascule_console.services.policyflows import Window, window
from bascule_console.services.policyimpact import Impact, impact
from bascule_console.services.proposal import Note, note_of
from bascule_console.widgets.detail import Detail, fact, heading

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

WAIT = "reading recorded flows …"


class ImpactPanel(Detail):
    """Follows one document. The flows are fetched once: every version is judged by the same traffic."""

    DEFAULT_CSS = """
    ImpactPanel { height: auto; background: $panel; color: $foreground; padding: 0 1; }
    """
    app: BasculeApp

    def __init__(self) -> None:
        super().__init__(id="impact")
        self.impact: Impact | None = None
        self._flows: Window | None = None
        self._why = WAIT
        self._document: Mapping[str, Any] | None = None

    def on_mount(self) -> None:
        """Fetch the traffic that is judged."""
        self.show_lines([heading("If this were in force"), fact("", WAIT, "muted")])
        work(self, self._fetch, "flows")

    def consider(self, document: Mapping[str, Any] | None) -> None:
        """Work out what this document would do; None when it is not whole yet, then the last answer stays."""
        if document is None:
            return
        self._document = document
        work(self, partial(self._work_out, document), "impact")

    async def _fetch(self) -> None:
        try:
            self._flows = await window(self.app.session, self.app.store, WINDOW_S)
            self._why = self._flows.why
        except BasculeError as error:
            self._why = error.message
        self.consider(self._document)

    async def _work_out(self, document: Mapping[str, Any]) -> None:
        world = self.app.store.policy.world
        if world is None:
            return
        records = self._flows.records if self._flows is not None else None
        self.impact = found = await asyncio.to_thread(impact, world, document, records)
        silent = self._flows.silent if self._flows is not None else ()
        judged = found.forecast.judged if found.forecast is not None else 0
        words = window_words(judged, WINDOW_S, silent) if found.forecast is not None else self._why
        self.show_lines(impact_lines(found, world, words, self.app.glyphs))


def lint_policy(app: BasculeApp, document: Mapping[str, Any]) -> list[Note]:
    """What lint says about a policy, in the light of the tiers and sets of the cluster."""
    world = app.store.policy.world
    return [note_of(finding) for finding in lint([document], world.documents if world is not None else [])]
