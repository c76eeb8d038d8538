"""The VMs as a table's source: rows by identity, made anew only when the inventory changed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from bascule_console.store.inventory import Inventory
from bascule_console.store.topics import INVENTORY, Topics
from bascule_console.store.vms import VmRow, vm_rows


class VmSource:
    """Every VM by `namespace/name`. VMs are never lost, so `lost` is 0."""

    lost = 0

    def __init__(self, topics: Topics, inventory: Inventory) -> None:
        self._topics = topics
        self._inventory = inventory
        self._rows: dict[Hashable, VmRow] = {}
        self._made = -1
        self._changes = 0

    @property
    def version(self) -> int:
        """Grows with every change of the inventory."""
        return self._topics.version(INVENTORY)

    @property
    def intake(self) -> int:
        """Rows that came or changed."""
        self.rows()
        return self._changes

    def rows(self) -> Mapping[Hashable, VmRow]:
        """Rows by key. A row that is equal to the one before stays the same object, so that it is not repainted."""
        if self._made != self.version:
            self._made = self.version
            fresh = {row.key: row for row in vm_rows(self._inventory)}
            old, self._rows = self._rows, {}
            for key, row in fresh.items():
                same = old.get(key) == row
                self._rows[key] = old[key] if same else row
                self._changes += not same
        return self._rows

    def searchable(self, row: VmRow) -> str:
        """What a filter looks at."""
        vlan = "" if row.vlan is None else f"vlan {row.vlan}"
        return f"{row.key} {row.node} {row.network} {vlan} {row.ip} {row.mac} {row.phase} {row.move}"
