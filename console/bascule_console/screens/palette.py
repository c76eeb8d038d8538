"""ctrl+p: every place, and every action that the screen below has now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from textual.command import DiscoveryHit, Hit, Hits, Provider

from bascule_console.actions.bindings import readable
from bascule_console.actions.registry import actions_in
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.modes import MODES

HIDDEN = frozenset({"command_palette", "back"})


class Everything(Provider):
    """Places and actions, from the same tables as `:` and the keys."""

    def _entries(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        screen = self.screen
        if not isinstance(screen, BasculeScreen):
            return
        for action in actions_in(screen.MODE):
            if action.id not in HIDDEN and screen.check_action(action.id, ()):
                yield (
                    action.label,
                    f"{readable(action.key)}  {action.verb}".strip(),
                    partial(screen.run_action, action.id),
                )
        for mode in MODES:
            yield f"Go to {mode.title}", f":{mode.id}", partial(screen.app.open, mode.id)

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for label, help_text, run in self._entries():
            yield DiscoveryHit(label, run, help=help_text)

    async def search(self, query: str) -> Hits:
        """What matches."""
        matcher = self.matcher(query)
        for label, help_text, run in self._entries():
            if (score := matcher.match(label)) > 0:
                yield Hit(score, matcher.highlight(label), run, text=label, help=help_text)
