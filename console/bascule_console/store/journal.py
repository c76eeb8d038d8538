"""The journal as the store holds it: its records as rows, what each changed, and whether the chain is whole. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bascule.journal import Record

_UNDO = re.compile(r"undo #(\d+)")


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One record. `undo` is the verb of its known inverse, ""; `undone_by` the number of the record that undid it."""

    seq: int
    time: str
    user: str
    host: str
    context: str
    server: str
    what: str
    kind: str
    namespace: str
    name: str
    undo: str
    undone_by: int | None
    hash: str

    @property
    def label(self) -> str:
        """`Kind/name` or `Kind/namespace/name`."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def state(self) -> str:
        """In words: can it be undone, was it?"""
        if self.undone_by is not None:
            return f"undone by #{self.undone_by}"
        return f"undo: {self.undo}" if self.undo else "no undo known"


@dataclass(frozen=True)
class JournalView:
    """Everything in the file: intact records, and why reading stopped before its end ("" when it did not)."""

    path: str = ""
    records: tuple[Record, ...] = ()
    fault: str = ""
    torn: int = 0

    def rows(self) -> dict[int, JournalRow]:
        """The records as rows by number, newest first."""
        undone = undone_by(self.records)
        return {record.seq: _row(record, undone.get(record.seq)) for record in reversed(self.records)}

    def record(self, seq: int) -> Record | None:
        """The record of that number."""
        return self.records[seq - 1] if 0 < seq <= len(self.records) else None


def undone_by(records: Sequence[Record]) -> dict[int, int]:
    """Number of a record → number of the newest record that undid it."""
    found: dict[int, int] = {}
    for record in records:
        match = _UNDO.fullmatch(str(record.content["what"]))
        if match:
            found[int(match[1])] = record.seq
    return found


def undo_word(seq: int) -> str:
    """The `what` of a record that undoes record `seq`."""
    return f"undo #{seq}"


def _row(record: Record, undone: int | None) -> JournalRow:
    content = record.content
    who, target, undo = content["who"], content["target"], content["undo"]
    return JournalRow(
        seq=record.seq,
        time=str(content["time"]),
        **{key: str(who.get(key, "")) for key in ("user", "host", "context", "server")},
        what=str(content["what"]),
        **{key: str(target.get(key, "")) for key in ("kind", "namespace", "name")},
        undo=str(undo["verb"]) if undo else "",
        undone_by=undone,
        hash=record.hash,
    )


def document(record: Record, undone: int | None) -> dict[str, Any]:
    """The JSON of `journal show`: the record whole, with its diff and the number of what undid it."""
    facts = {"diff": record_diff(record), "undone_by": undone, "hash": record.hash}
    return {"seq": record.seq, **record.content, **facts}


def record_diff(record: Record) -> str:
    """Unified diff of what the record changed, by lines of YAML, without what the server fills in."""
    target = record.content["target"]
    label = "/".join(part for part in (target["kind"], target["namespace"], target["name"]) if part)
    from bascule_console.store.documents import diff  # YAML costs 30 ms, which the first paint does not need

    return diff(record.content["before"], record.content["after"], label, ("before", "after"))
