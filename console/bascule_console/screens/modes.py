"""One table of modes: what `:` opens, by name or alias. A mode's screen is imported and made on first use."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bascule_console.screens.base import BasculeScreen

HERE = "bascule_console.screens"
START = "live"


@dataclass(frozen=True, slots=True)
class Mode:
    """One place to be. `screen` is `<folder under screens>:<class in its screen.py>`."""

    id: str
    title: str
    aliases: tuple[str, ...]
    screen: str

    def make(self) -> BasculeScreen:
        """Import the screen's module and make the screen; called inside the running app."""
        folder, name = self.screen.split(":")
        factory: Callable[[], BasculeScreen] = getattr(importlib.import_module(f"{HERE}.{folder}.screen"), name)
        return factory()


MODES: tuple[Mode, ...] = (
    Mode("live", "Live", ("l",), "live:LiveScreen"),
    Mode("overview", "Overview", ("o", "home", "pulse"), "overview:OverviewScreen"),
    Mode("networks", "Networks", ("net", "network"), "networks:NetworksScreen"),
    Mode("nodes", "Nodes", ("no", "node"), "nodes:NodesScreen"),
    Mode("trunks", "Trunks", ("tr", "trunk"), "trunks:TrunksScreen"),
    Mode("vms", "VMs", ("vm", "virtualmachines"), "vms:VmsScreen"),
    Mode("addresses", "Addresses", ("ip", "ips", "addr", "address"), "addresses:AddressesScreen"),
    Mode("nads", "NADs", ("nad", "attachments"), "nads:NadsScreen"),
    Mode("pools", "IPPools", ("pool", "ippool", "ippools"), "pools:PoolsScreen"),
    Mode("policies", "Policies", ("pol", "gnp", "np", "policy"), "policies:PoliciesScreen"),
    Mode("flows", "Flows", ("f", "flow"), "flows:FlowsScreen"),
    Mode("moves", "Moves", ("mv", "move", "migrations"), "moves:MovesScreen"),
    Mode("journal", "Journal", ("j", "log"), "journal:JournalScreen"),
    Mode("wizard", "Wizard", ("migrate", "migration"), "wizard:WizardScreen"),
)


def mode(name: str) -> Mode | None:
    """The mode of that name or alias, or None."""
    return next((each for each in MODES if name == each.id or name in each.aliases), None)
