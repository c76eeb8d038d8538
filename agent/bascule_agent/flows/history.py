"""A day of flows on the node, in SQLite: written drain by drain, packed by the minute, rolled up after a day.

Why SQLite and not a column store: docs/design/flow-history.md. A drain is written as it comes, so that an agent that is
killed loses nothing it had drained; a minute later its drains become one packed block (bascule.flows.block) with one
record per flow and second; a day later the block's records become one per flow and minute; and when there is no room
the oldest go. What was rolled up or removed is counted and told with every answer. One writer; `read` may run in other
threads.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.block import LAYOUT, pack, unpack
from bascule.flows.extent import Extent
from bascule.flows.filter import Filter
from bascule.flows.fold import fold
from bascule.flows.ledger import HISTORY_FULL, Ledger
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.scene import Scene
from bascule_agent.flows.hub import Drain
from bascule_agent.flows.schema import SCHEMA, port_document, port_of

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
EXACT_NS = 24 * 60 * MINUTE_NS
TOLD_NS = 30 * EXACT_NS  # how long it is remembered what was removed
ROOM = 1 << 30
PIECE_RECORDS = 65_536
RAW, PACKED, ROLLED = 0, 1, 2


class History:
    """The file at `path`. `room` bounds its bytes, `exact_ns` is how long records keep their own times."""

    def __init__(self, path: Path, node: str, room: int = ROOM, exact_ns: int = EXACT_NS) -> None:
        self.path, self._node, self._room, self._exact_ns = path, node, room, exact_ns
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = self._open()
        self._ports: tuple[tuple[PortId, ...], int] = ((), 0)
        self._before = Ledger()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- writing ----------------------------------------------------------------------------------------------

    def add(self, drain: Drain) -> None:
        """One drain; its share of the ledger is kept with it."""
        mine = drain.ledger.since(self._before)
        if not len(drain.records) and not mine.seen:
            return
        values = (drain.time_ns, RAW, drain.records.tobytes(), self._ports_id(drain.ports), mine.seen, mine.sent)
        with self._db:
            self._db.execute(
                "INSERT INTO blocks(at_ns, kind, records, ports, seen, sent, lost) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, json.dumps(dict(mine.lost))),
            )
        self._before = drain.ledger

    def tidy(self, now_ns: int) -> None:
        """Pack finished minutes, roll up what is older than the exact time, make room; about once a minute."""
        self._join(RAW, PACKED, now_ns - MINUTE_NS)
        self._join(PACKED, ROLLED, now_ns - self._exact_ns)
        self._make_room()
        with self._db:
            self._db.execute("DELETE FROM dropped WHERE at_ns < ?", (now_ns - TOLD_NS,))
            self._db.execute("DELETE FROM ports WHERE id NOT IN (SELECT ports FROM blocks)")
        self._ports = ((), 0)

    # -- reading ----------------------------------------------------------------------------------------------

    def extent(self) -> Extent:
        """What there is."""
        with closing(self._reader()) as db:
            return self._extent(db)

    def read(self, since_ns: int, wanted: Filter) -> Generator[tuple[Drain, Extent], None, None]:
        """The flows of all records whose last frame came at or after `since_ns` and that may match, in pieces; at
        least one piece. Each ledger is that of the window so far, so that the last one is the whole window's."""
        with closing(self._reader()) as db:
            ports = self._ports_since(db, since_ns)
            names, extent = Names(ports), self._extent(db)
            made = Drain(0, np.zeros(0, RECORD), ports, Ledger())
            (gone,) = db.execute(
                "SELECT coalesce(sum(frames), 0) FROM dropped WHERE at_ns >= ?", (since_ns,)
            ).fetchone()
            if gone:
                made = replace(made, ledger=Ledger(gone, 0, {HISTORY_FULL: gone}))
            held: list[NDArray[Any]] = []
            for at_ns, kept, ledger in self._blocks(db, since_ns, wanted, names):
                held.append(kept)
                made = replace(made, time_ns=at_ns, ledger=made.ledger + ledger)
                if sum(map(len, held)) > PIECE_RECORDS:
                    held = [fold(np.concatenate(held, dtype=RECORD))]
                    if len(held[0]) > PIECE_RECORDS // 2:
                        yield replace(made, records=held.pop()), extent
            last = fold(np.concatenate(held, dtype=RECORD)) if held else np.zeros(0, RECORD)
            yield replace(made, records=last), extent

    def _blocks(
        self, db: sqlite3.Connection, since_ns: int, wanted: Filter, names: Names
    ) -> Iterator[tuple[int, NDArray[Any], Ledger]]:
        found = db.execute(
            "SELECT at_ns, kind, records, seen, sent, lost FROM blocks WHERE at_ns >= ? ORDER BY at_ns", (since_ns,)
        )
        for at_ns, kind, blob, seen, sent, lost in found:
            records = _records(kind, blob)
            inside = records[records["last"] >= np.uint64(max(since_ns, 0))]
            frames = _frames(inside)
            kept = inside[wanted.mask(Scene(inside, self._node, names, partial=True))]
            outside = sent - frames
            ledger = Ledger(seen - outside, frames, json.loads(lost)).without(frames - _frames(kept))
            yield at_ns, kept, ledger

    def _reader(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, check_same_thread=False)

    def _extent(self, db: sqlite3.Connection) -> Extent:
        oldest, rolled = db.execute(
            "SELECT min(at_ns), max(CASE WHEN kind = ? THEN at_ns END) FROM blocks", (ROLLED,)
        ).fetchone()
        until, frames = db.execute("SELECT coalesce(max(at_ns), 0), coalesce(sum(frames), 0) FROM dropped").fetchone()
        return Extent(oldest or 0, rolled or 0, until, frames, _bytes(db))

    def _ports_since(self, db: sqlite3.Connection, since_ns: int) -> tuple[PortId, ...]:
        """Every port of the window; of two with one ifindex the newer."""
        found: dict[int, PortId] = {}
        query = """SELECT document FROM ports WHERE id IN (SELECT ports FROM blocks WHERE at_ns >= ?) ORDER BY id"""
        for (document,) in db.execute(query, (since_ns,)):
            found.update((port.ifindex, port) for port in map(port_of, json.loads(document)))
        return tuple(found.values())

    # -- inner ------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False)
        db.executescript(SCHEMA)
        (layout,) = db.execute("SELECT layout FROM about").fetchone() or (None,)
        if layout != LAYOUT:  # records of another version cannot be read: they count as dropped, and it begins anew
            with db:
                db.execute("INSERT INTO dropped SELECT at_ns, seen FROM blocks")
                db.execute("DELETE FROM blocks")
                db.execute("DELETE FROM about")
                db.execute("INSERT INTO about VALUES (?)", (LAYOUT,))
        return db

    def _ports_id(self, ports: tuple[PortId, ...]) -> int:
        if self._ports[0] == ports and self._ports[1]:
            return self._ports[1]
        document = json.dumps([port_document(port) for port in ports])
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO ports(document) VALUES (?)", (document,))
        (number,) = self._db.execute("SELECT id FROM ports WHERE document = ?", (document,)).fetchone()
        self._ports = (ports, number)
        return int(number)

    def _join(self, source: int, target: int, before_ns: int) -> None:
        """Blocks of one kind become one of another for each minute that ended before; rolled ones are folded."""
        minutes = self._db.execute(
            "SELECT DISTINCT at_ns / ?, ports FROM blocks WHERE kind = ? AND at_ns < ? ORDER BY 1",
            (MINUTE_NS, source, before_ns // MINUTE_NS * MINUTE_NS),
        ).fetchall()
        for minute, ports in minutes:
            with self._db:
                self._join_minute(source, target, minute, ports)

    def _join_minute(self, source: int, target: int, minute: int, ports: int) -> None:
        where = "kind = ? AND ports = ? AND at_ns >= ? AND at_ns < ?"
        span = (source, ports, minute * MINUTE_NS, (minute + 1) * MINUTE_NS)
        found = self._db.execute(f"SELECT at_ns, records, seen, sent, lost FROM blocks WHERE {where}", span).fetchall()
        records = _joined(source, target, [(row[0], row[1]) for row in found])
        lost: Counter[str] = Counter()
        for row in found:
            lost.update(json.loads(row[4]))
        self._db.execute(f"DELETE FROM blocks WHERE {where}", span)
        self._db.execute(
            "INSERT INTO blocks(at_ns, kind, records, ports, seen, sent, lost) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(max(row[0] for row in found), target, pack(records), ports),
                *(sum(row[2] for row in found), sum(row[3] for row in found), json.dumps(lost)),
            ),
        )

    def _make_room(self) -> None:
        while _bytes(self._db) > self._room:
            oldest = self._db.execute("SELECT id, at_ns, seen FROM blocks ORDER BY at_ns LIMIT 8").fetchall()
            if len(oldest) < 2:
                return
            with self._db:
                self._db.executemany("INSERT INTO dropped VALUES (?, ?)", [(row[1], row[2]) for row in oldest])
                self._db.executemany("DELETE FROM blocks WHERE id = ?", [(row[0],) for row in oldest])


def _joined(source: int, target: int, blocks: list[tuple[int, bytes]]) -> NDArray[Any]:
    """The records of some blocks: one per flow and second, or per flow when they are rolled up."""
    spans: dict[int, list[NDArray[Any]]] = {}
    for at_ns, blob in blocks:
        spans.setdefault(0 if target == ROLLED else at_ns // SECOND_NS, []).append(_records(source, blob))
    folded = [fold(np.concatenate(parts, dtype=RECORD)) for _, parts in sorted(spans.items())]
    return np.concatenate(folded, dtype=RECORD)


def _records(kind: int, blob: bytes) -> NDArray[Any]:
    return np.frombuffer(blob, RECORD) if kind == RAW else unpack(blob)


def _frames(records: NDArray[Any]) -> int:
    return int(records["packets"].sum())


def _bytes(db: sqlite3.Connection) -> int:
    """Bytes in use; pages that were freed are used again before the file grows."""
    size, pages, free = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS)
    return int(size * (pages - free))


_PRAGMAS = ("page_size", "page_count", "freelist_count")
