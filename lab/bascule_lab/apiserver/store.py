"""Objects and the watch log in SQLite, with every object's bytes also in memory.

One writer, the event loop: a write takes the next resourceVersion, stores object and log entry in one transaction and
then tells the listeners, so what a watch sees is committed. Reads never touch the database or decode JSON: a record
holds the encoded object and the small index that selectors need. The log is bounded; older versions are expired.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bascule.errors import BasculeError
from bascule_lab.apiserver.body import Document, encode

Key = tuple[str, str, str]
"""(resource as `plural.group`, namespace or "", name)"""
LOG_KEPT = 8192
_COMPACT_EVERY = 512
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects(gr TEXT, ns TEXT, name TEXT, uid TEXT NOT NULL, rv INTEGER NOT NULL,
    body BLOB NOT NULL, idx TEXT NOT NULL, PRIMARY KEY(gr, ns, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events(rv INTEGER PRIMARY KEY, gr TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,
    type TEXT NOT NULL, body BLOB NOT NULL, idx TEXT NOT NULL, previous TEXT);
"""


class StoreError(BasculeError):
    """The database cannot be opened."""


@dataclass(frozen=True, slots=True)
class Index:
    """What selectors and the garbage collector ask of an object; `owners` are uids, `deleting` is deletionTimestamp."""

    labels: Mapping[str, str]
    fields: Mapping[str, str]
    owners: tuple[str, ...] = ()
    deleting: bool = False

    def dump(self) -> str:
        return json.dumps([self.labels, self.fields, self.owners, self.deleting])

    @classmethod
    def load(cls, text: str) -> Index:
        labels, fields, owners, deleting = json.loads(text)
        return cls(labels, fields, tuple(owners), deleting)


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one object; `body` is its JSON."""

    key: Key
    uid: str
    rv: int
    body: bytes
    index: Index

    def document(self) -> Document:
        """A fresh copy, the caller's to change."""
        document: Document = json.loads(self.body)
        return document


@dataclass(frozen=True, slots=True)
class Event:
    """One write: ADDED, MODIFIED or DELETED; `previous` is the index before it (None when the object is new)."""

    type: str
    rv: int
    key: Key
    body: bytes
    index: Index
    previous: Index | None
    _lines: dict[str, bytes] = field(default_factory=dict, compare=False)

    def line(self, as_type: str) -> bytes:
        """The watch line, encoded once for all watchers; `as_type` differs when a selector's edge was crossed."""
        line = self._lines.get(as_type)
        if line is None:
            line = self._lines[as_type] = b'{"type":"%s","object":%s}\n' % (as_type.encode(), self.body)
        return line


class Store:
    """`rv` is the last version given out; a watch may start at any version not below `floor`."""

    def __init__(self, path: Path, log_kept: int = LOG_KEPT) -> None:
        self._db = _open(path)
        self._kept = log_kept
        self._objects: dict[str, dict[tuple[str, str], Record]] = {}
        self._uids: dict[str, Key] = {}
        self.listeners: list[Callable[[Event], None]] = []
        row = self._db.execute("SELECT value FROM meta WHERE name='rv'").fetchone()
        self.rv: int = row[0] if row else 0
        first = self._db.execute("SELECT min(rv) FROM events").fetchone()[0]
        self.floor: int = self.rv if first is None else first - 1
        for gr, ns, name, uid, rv, body, idx in self._db.execute("SELECT * FROM objects"):
            self._keep(Record((gr, ns, name), uid, rv, body, Index.load(idx)))

    def close(self) -> None:
        self._db.close()

    def get(self, key: Key) -> Record | None:
        return self._objects.get(key[0], {}).get(key[1:])

    def items(self, resource: str) -> dict[tuple[str, str], Record]:
        """All records of a resource by (namespace, name); not to be changed by the caller."""
        return self._objects.get(resource, {})

    def resources(self) -> list[str]:
        return list(self._objects)

    def alive(self, uid: str) -> bool:
        return uid in self._uids

    def put(self, key: Key, uid: str, document: Document, index: Index) -> Record:
        """Create or replace; sets metadata.resourceVersion in `document`."""
        old = self.get(key)
        body = self._stamp(document)
        record = Record(key, uid, self.rv + 1, body, index)
        event = Event("MODIFIED" if old else "ADDED", record.rv, key, body, index, old.index if old else None)
        row = (*key, uid, record.rv, body, index.dump())
        self._commit(event, "INSERT OR REPLACE INTO objects VALUES(?,?,?,?,?,?,?)", row)
        self._keep(record)
        self._tell(event)
        return record

    def remove(self, record: Record, document: Document) -> None:
        """Delete; `document` is the last state, which the DELETED event carries under a new version."""
        event = Event("DELETED", self.rv + 1, record.key, self._stamp(document), record.index, record.index)
        self._commit(event, "DELETE FROM objects WHERE gr=? AND ns=? AND name=?", record.key)
        del self._objects[record.key[0]][record.key[1:]]
        del self._uids[record.uid]
        self._tell(event)

    def since(self, resource: str, rv: int) -> list[Event]:
        """The log of one resource after `rv`, oldest first; the caller has compared `rv` with `floor`."""
        rows = self._db.execute("SELECT * FROM events WHERE rv > ? AND gr = ? ORDER BY rv", (rv, resource))
        return [
            Event(kind, at, (gr, ns, name), body, Index.load(idx), Index.load(previous) if previous else None)
            for at, gr, ns, name, kind, body, idx, previous in rows
        ]

    def _stamp(self, document: Document) -> bytes:
        document["metadata"]["resourceVersion"] = str(self.rv + 1)
        return encode(document)

    def _keep(self, record: Record) -> None:
        self._objects.setdefault(record.key[0], {})[record.key[1:]] = record
        self._uids[record.uid] = record.key

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    def _commit(self, event: Event, change: str, values: tuple[object, ...]) -> None:
        previous = event.previous.dump() if event.previous else None
        row = (event.rv, *event.key, event.type, event.body, event.index.dump(), previous)
        floor = event.rv - self._kept if event.rv % min(_COMPACT_EVERY, self._kept) == 0 else 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(change, values)
            self._db.execute("INSERT INTO events VALUES(?,?,?,?,?,?,?,?)", row)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES('rv', ?)", (event.rv,))
            if floor > self.floor:
                self._db.execute("DELETE FROM events WHERE rv <= ?", (floor,))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self.rv = event.rv
        self.floor = max(self.floor, floor)


def _open(path: Path) -> sqlite3.Connection:
    """Mode 0600 before SQLite writes a byte (its side files inherit it); exclusive, so one server per state."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, isolation_level=None, timeout=0.2)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_SCHEMA)
    except sqlite3.Error as error:
        db.close()
        fix = f"stop the other API server on {path.parent}, or remove the file"
        raise StoreError(f"{path} cannot be opened", str(error), fix) from error
    return db
