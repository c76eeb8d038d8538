"""A file's flows in a store of their own, whose clock stands where the file ends: the same screens, no cluster."""

from __future__ import annotations

from pathlib import Path

from bascule_console.services.flowfile import read_file
from bascule_console.store.store import Store


def replay(path: Path) -> Store:
    """The store. Raises UsageError for a file that is neither recording nor capture."""
    store, read = Store(), read_file(path)
    store.flows.set_surroundings(read.around)
    last = 0
    for batch in read.batches():
        store.add_flows(batch)
        last = max(last, batch.time_ns)
    store.flows.stop_clock(last)
    if read.problem:
        store.agent_silent(path.name, read.problem)
    return store
