"""What works on every screen."""

from __future__ import annotations

from bascule_console.actions.model import Action

ACTIONS: tuple[Action, ...] = (
    Action(id="open_row", label="Open", key="enter"),
    Action(id="filter", label="Filter", key="slash"),
    Action(id="command", label="Go to", key="colon"),
    Action(id="switch_table", label="Tables", key="tab", footer=False),
    Action(id="sort_next", label="Sort", key="s", footer=False),
    Action(id="sort_reverse", label="Reverse", key="S", footer=False),
    Action(id="show_yaml", label="YAML", key="y", footer=False),
    Action(id="command_palette", label="Palette", key="ctrl+p", footer=False),
    Action(id="back", label="Back", key="escape", footer=False),
    Action(id="help", label="Help", key="question_mark"),
    Action(id="quit", label="Quit", key="q"),
)
