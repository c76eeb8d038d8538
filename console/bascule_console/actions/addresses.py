"""Actions of the address screen. Asking sends ICMP echoes and changes nothing."""

from __future__ import annotations

from bascule_console.actions.model import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        id="ask_address",
        label="Ask",
        key="p",
        scope=("addresses",),
        verb="bascule addresses check ADDRESS",
    ),
    Action(
        id="ask_all",
        label="Ask all shown",
        key="P",
        scope=("addresses",),
        verb="bascule addresses check",
        footer=False,
    ),
)
