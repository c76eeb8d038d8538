"""The VMs as a table's source: rows by identity, made anew only when the inventory changed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from bascule_console.store.inventory import Inventory, object_key
from bascule_console.store.topics import INVENTORY, Topics
from bascule_console.store.vms import ATTACHMENTS, MIGRATIONS, VMIS, VMS, VmRow, moves_in_flight, vm_row


class VmSource:
    """Every VM by `namespace/name`. VMs are never lost, so `lost` is 0."""

    lost = 0

    def __init__(self, topics: Topics, inventory: Inventory) -> None:
        self._topics = topics
        self._inventory = inventory
        self._rows: dict[Hashable, VmRow] = {}
        self._moves: dict[str, str] = {}
        self._mark = -1
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
            self._rebuild()
        return self._rows

    def _rebuild(self) -> None:
        """Make anew the rows whose objects changed; all of them when an attachment did, or when nothing is known."""
        inventory = self._inventory
        self._mark, changed = inventory.changes(self._mark) if self._mark >= 0 else (inventory.changes(0)[0], None)
        moves = moves_in_flight(inventory.all(MIGRATIONS))
        if changed is None or any(kind == ATTACHMENTS for kind, _ in changed):
            keys = {object_key(vm) for vm in inventory.all(VMS)} | {str(key) for key in self._rows}
        else:
            keys = {key for kind, key in changed if kind in (VMS, VMIS)}
            keys |= {key for key, _ in moves.items() ^ self._moves.items()}
        self._moves = moves
        rows, known = dict(self._rows), len(self._rows)
        for key in keys:
            vm = inventory.get(VMS, key)
            if vm is None:
                rows.pop(key, None)
                continue
            row, old = vm_row(vm, inventory, moves), rows.get(key)
            rows[key] = old if old == row else row
            self._changes += old != row
        new = len(rows) != known or keys - self._rows.keys()
        self._rows = dict(sorted(rows.items(), key=lambda item: str(item[0]))) if new else rows

    def searchable(self, row: VmRow) -> str:
        """What a filter looks at."""
        vlan = "" if row.vlan is None else f"vlan {row.vlan}"
        return f"{row.key} {row.node} {row.network} {vlan} {row.ip} {row.mac} {row.phase} {row.move}"

    def labels(self, row: VmRow) -> Mapping[str, str]:
        """The VM's own labels."""
        meta = (self._inventory.get(VMS, row.key) or {}).get("metadata") or {}
        return meta.get("labels") or {}
