"""What the console looks at besides the watches: lint over what the cluster has, and the journal on disk.

Both write the store. Lint runs in a thread, because twenty thousand VMs take longer than a frame; the journal is read
again when its file changed, whoever wrote it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from bascule.errors import BasculeError
from bascule.journal import Record
from bascule.lint import Finding, lint
from bascule_console.services.journal import Journal, JournalError
from bascule_console.store.inventory import Inventory, Object
from bascule_console.store.journal import JournalView
from bascule_console.store.pools import POOLS
from bascule_console.store.store import Store
from bascule_console.store.topics import INVENTORY
from bascule_console.store.vms import ATTACHMENTS, NETWORKS, NODES, VMS

LINTED = (NETWORKS, POOLS, ATTACHMENTS, VMS)
LINT_EVERY_S, JOURNAL_EVERY_S = 2.0, 1.0


def linted(inventory: Inventory) -> tuple[list[Object], list[Object]]:
    """(what lint judges, what it judges that against) of the inventory."""
    return [obj for kind in LINTED for obj in inventory.all(kind)], inventory.all(NODES)


def findings(objects: list[Object], context: list[Object]) -> tuple[Finding, ...]:
    """What lint finds on objects that are in the cluster."""
    return tuple(lint(objects, [*objects, *context]))


async def keep_linting(store: Store) -> None:
    """Keep the store's findings current until cancelled; it waits for every linted kind to be listed or refused."""
    seen = -1
    while True:
        version = store.topics.version(INVENTORY)
        if version != seen and _listed(store.inventory):
            seen = version
            store.keep_findings(await asyncio.to_thread(findings, *linted(store.inventory)))
        await asyncio.sleep(LINT_EVERY_S)


async def keep_reading(store: Store, path: Path) -> None:
    """Keep the store's view of the journal at `path` current until cancelled."""
    seen: object = None
    while True:
        state = _state(path)
        if state != seen:
            seen = state
            store.keep_journal(await asyncio.to_thread(read_journal, path))
        await asyncio.sleep(JOURNAL_EVERY_S)


def read_journal(path: Path) -> JournalView:
    """The whole journal; where it is broken or unreadable, what precedes that and why."""
    journal = Journal(path)
    records: list[Record] = []
    try:
        for record in journal.records():
            records.append(record)
        return JournalView(str(path), tuple(records), "", journal.verify().torn)
    except JournalError as error:
        return JournalView(str(path), (), str(error))
    except BasculeError as error:
        return JournalView(str(path), tuple(records), str(error))


def _listed(inventory: Inventory) -> bool:
    """Every linted kind was listed, or cannot be."""
    problems = inventory.problems()
    return all(inventory.synced(kind) or kind in problems for kind in LINTED)


def _state(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
