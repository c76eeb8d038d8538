"""The last line: the keys that work now. One widget, where Textual's Footer makes one per key at every focus change."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.widget import Widget

from bascule_console.actions.bindings import readable
from bascule_console.widgets.theme import ink


class KeyBar(Widget):
    """Key and label of each binding that is shown and enabled, in their order; what does not fit is left out whole."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; background: $background; color: $foreground; }"

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self._keys: list[tuple[str, str]] = []
        self._ends: list[tuple[int, str]] = []
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._update())
        self._update()

    def _update(self) -> None:
        shown: dict[str, Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show and active.enabled:
                shown.setdefault(active.binding.action, active.binding)
        keys = [(binding.key, binding.description) for binding in shown.values()]
        if keys != self._keys:
            self._keys = keys
            self.refresh()

    def render(self) -> RenderResult:
        """` m Move VM  / Filter …`; a click on one presses it."""
        text = Text(no_wrap=True)
        self._ends = []
        for key, label in self._keys:
            name = readable(key)
            if text.cell_len + len(name) + len(label) + 4 > self.size.width:
                break
            text.append(" ")
            text.append(name, ink(self.app, "key"))
            text.append(f" {label} ")
            self._ends.append((text.cell_len, key))
        return text

    def on_click(self, event: events.Click) -> None:
        """Press the key under the pointer."""
        for end, key in self._ends:
            if event.x < end:
                self.app.simulate_key(key)
                return
