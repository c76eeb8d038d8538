"""The VMs as a table's source: rows by identity, made anew only where the inventory changed.

Twenty thousand rows take a third of a second to make. So they are made in slices: a caller gets what there is so far,
and the topic says that there is more.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping

from bascule_console.store.inventory import Inventory
from bascule_console.store.topics import INVENTORY, Topics
from bascule_console.store.vms import ATTACHMENTS, MIGRATIONS, VMIS, VMS, VmRow, moves_in_flight, vm_row

SLICE_ROWS, SLICE_S = 256, 0.02


class VmSource:
    """Every VM by `namespace/name`. VMs are never lost, so `lost` is 0."""

    lost = 0

    def __init__(self, topics: Topics, inventory: Inventory) -> None:
        self._topics = topics
        self._inventory = inventory
        self._rows: dict[Hashable, VmRow] = {}
        self._moves: dict[str, str] = {}
        self._due: dict[str, None] = {}
        self._mark = -1
        self._made = -1
        self._changes = 0
        self._rests_until = 0.0

    @property
    def version(self) -> int:
        """Grows with every change of the inventory, and with every slice that more follow."""
        return self._topics.version(INVENTORY)

    @property
    def intake(self) -> int:
        """Rows that came or changed."""
        self.rows()
        return self._changes

    def rows(self) -> Mapping[Hashable, VmRow]:
        """Rows by key. A row that is equal to the one before stays the same object, so that it is not repainted."""
        if self._made != self.version and time.perf_counter() >= self._rests_until:
            self._made = self.version
            self._note_changes()
            self._make()
        return self._rows

    def _note_changes(self) -> None:
        """Due are the rows whose objects changed; all of them when an attachment did, or when nothing is known."""
        inventory = self._inventory
        self._mark, changed = inventory.changes(self._mark) if self._mark >= 0 else (inventory.changes(0)[0], None)
        moves = moves_in_flight(inventory.all(MIGRATIONS))
        if changed is None or any(kind == ATTACHMENTS for kind, _ in changed):
            self._due |= dict.fromkeys(inventory.keys(VMS)) | dict.fromkeys(map(str, self._rows))
        else:
            self._due |= dict.fromkeys(key for kind, key in reversed(changed) if kind in (VMS, VMIS))
            self._due |= dict.fromkeys(key for key, _ in moves.items() ^ self._moves.items())
        self._moves = moves

    def _make(self) -> None:
        """Make the rows that are due, the oldest first; of very many, as much as a slice of time allows."""
        rows, known = dict(self._rows), len(self._rows)
        done: list[str] = []
        ends = time.perf_counter() + SLICE_S
        for key in self._due:
            if len(done) % SLICE_ROWS == SLICE_ROWS - 1 and time.perf_counter() > ends:
                break
            done.append(key)
            vm = self._inventory.get(VMS, key)
            if vm is None:
                rows.pop(key, None)
                continue
            row, old = vm_row(vm, self._inventory, self._moves), rows.get(key)
            rows[key] = old if old == row else row
            self._changes += old != row
        new = len(rows) != known or any(key not in self._rows for key in done)
        self._rows = dict(sorted(rows.items(), key=lambda item: str(item[0]))) if new else rows
        for key in done:
            del self._due[key]
        if self._due:
            self._rests_until = time.perf_counter() + SLICE_S
            self._topics.touch(INVENTORY)

    def searchable(self, row: VmRow) -> str:
        """What a filter looks at."""
        vlan = "" if row.vlan is None else f"vlan {row.vlan}"
        return f"{row.key} {row.node} {row.network} {vlan} {row.ip} {row.mac} {row.phase} {row.move}"

    def labels(self, row: VmRow) -> Mapping[str, str]:
        """The VM's own labels."""
        meta = (self._inventory.get(VMS, row.key) or {}).get("metadata") or {}
        return meta.get("labels") or {}
