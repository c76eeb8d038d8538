"""Address rows as a table's source: made beside the screen where there are many, so that no key waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from typing import Any

from bascule_console.store.addresses import AddressBook, searchable
from bascule_console.store.store import Store
from bascule_console.store.topics import ADDRESSES, INVENTORY, REPORTS
from bascule_console.store.vms import VMS

Row = Mapping[str, Any]
MANY_VMS = 1_000


class AddressSource:
    """A `widgets.rowview.RowSource`. After a change `refresh` makes the rows at once, `refresh_beside` in a thread."""

    lost = 0

    def __init__(self, store: Store) -> None:
        self.version = 0
        self.intake = 0
        self._store = store
        self._book = AddressBook(store.inventory)
        self._rows: dict[Hashable, Row] = {}
        self._changes = store.topics.subscribe(INVENTORY, REPORTS, ADDRESSES)
        self._making = False

    def rows(self) -> Mapping[Hashable, Row]:
        """The rows as they were last made."""
        return self._rows

    def searchable(self, row: Row) -> str:
        """What a filter looks at."""
        return searchable(row)

    def labels(self, row: Row) -> Mapping[str, str]:
        """The labels of the VM that claims the address."""
        found = self._store.inventory.get(VMS, f"{row['namespace']}/{row['vm']}") or {}
        return (found.get("metadata") or {}).get("labels") or {}

    @property
    def many(self) -> bool:
        """Too many to make them between two frames."""
        return len(self._store.vms.rows()) >= MANY_VMS

    def refresh(self) -> None:
        """Make the rows now, if anything changed."""
        if not self._making and self._changes.take():
            self._take(self._make())

    async def refresh_beside(self) -> None:
        """Make the rows in a thread, if anything changed and none is at it."""
        if self._making or not self._changes.take():
            return
        self._making = True
        try:
            self._take(await asyncio.to_thread(self._make))
        finally:
            self._making = False

    def _make(self) -> dict[Hashable, Row]:
        store = self._store
        return dict(self._book.rows(store.reports.documents, store.sightings, dict(store.answers)).items())

    def _take(self, fresh: dict[Hashable, Row]) -> None:
        old, self._rows = self._rows, {}
        for key, row in fresh.items():
            same = old.get(key) == row
            self._rows[key] = old[key] if same else row
            self.intake += not same
        self.version += 1
