"""Records on disk, one JSON file each under `<socket dir>/moves/`: a restarted agent still has them.

Only an index is in memory. The newest `LIMIT` records are kept, `MAX_BYTES` in all; the directory is root's alone.
A record that was being written when the agent died is closed as what it is: its missing source is the agent itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.continuity import judged
from bascule.protocol.gen.agent_pb2 import MoveRecord

LIMIT = 500
MAX_BYTES = 64 << 20
_PLAIN = re.compile(r"[A-Za-z0-9-]{1,64}")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the index."""

    vm: str
    namespace: str
    size: int


class RecordStore:
    """`save` and `read` block on files and may run in any thread; the index belongs to the event loop."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._index: OrderedDict[str, Entry] = OrderedDict()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = [path for path in directory.iterdir() if path.suffix == ".json"]
        for path in sorted(found, key=lambda path: path.stat().st_mtime_ns):
            self._adopt(path)

    def __contains__(self, migration_uid: str) -> bool:
        return migration_uid in self._index

    def newest_first(self) -> list[tuple[str, Entry]]:
        """The index, newest first."""
        return list(reversed(self._index.items()))

    def save(self, migration_uid: str, document: dict[str, Any]) -> Entry:
        """Write a record's file (again), whole or not at all; `add` then makes it known. OSError when it cannot."""
        text = json.dumps(document, separators=(",", ":"))
        path = self._path(migration_uid)
        partial = path.with_suffix(".tmp")
        partial.write_text(text)
        os.replace(partial, path)
        return Entry(document["vm"], document["namespace"], len(text))

    def add(self, migration_uid: str, entry: Entry) -> None:
        """Make a saved record the newest of the index; the oldest go when there is no room."""
        self._index[migration_uid] = entry
        self._index.move_to_end(migration_uid)
        self._trim()

    def read(self, migration_uid: str) -> MoveRecord | None:
        """A record as it travels; None when it has gone."""
        try:
            text = self._path(migration_uid).read_text()
        except FileNotFoundError:
            return None
        return MoveRecord(json=text, complete=True, migration_uid=migration_uid)

    def _adopt(self, path: Path) -> None:
        try:
            document = json.loads(path.read_text())
            uid = document["migration_uid"]
            watching = (document.get("aftershock") or {}).get("state") == "running"
            if document["complete"] and not watching:
                entry = Entry(document["vm"], document["namespace"], path.stat().st_size)
                self._index[uid] = entry
            else:
                self._index[uid] = self.save(uid, closed(document))
        except (ValueError, KeyError, TypeError, OSError) as error:
            log.warning("%s is no move record (%s); it is left alone", path, error)

    def _trim(self) -> None:
        total = sum(entry.size for entry in self._index.values())
        while len(self._index) > 1 and (len(self._index) > LIMIT or total > MAX_BYTES):
            uid, entry = self._index.popitem(last=False)
            total -= entry.size
            self._path(uid).unlink(missing_ok=True)

    def _path(self, migration_uid: str) -> Path:
        plain = _PLAIN.fullmatch(migration_uid)
        name = migration_uid if plain else hashlib.sha256(migration_uid.encode()).hexdigest()
        return self._directory / f"{name}.json"


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """A record that nobody fills any more, as complete: what it lacks is named, and judged again. One that was complete
    and whose after-shock watch ran keeps its verdict; the watch is what was cut short."""
    if document["complete"]:
        watch = {**document["aftershock"], "state": "interrupted", "why": "the agent ended during the watch"}
        return judged({**document, "aftershock": watch})
    document = {**document, "complete": True}
    document["missing_why"] = {**document["missing_why"], "agent": "the agent ended during the move"}
    document["missing"] = sorted(document["missing_why"])
    return judged(document)
