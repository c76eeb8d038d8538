"""The chain: one JSON object a line, each holding the hash of the one before, so that no record can be changed, dropped
from the middle or put in another order unseen. (Cutting off the end is seen only by whoever noted the last hash.)

Append-safe: a record is complete when its newline is there. What follows the last newline is an append that a crash cut
short; it was never confirmed to anyone, is reported as `torn`, and is cut off by the next append.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError
from bascule.journal.entry import Entry, Record

GENESIS = "0" * 64
_CONTENT = frozenset(("time", "who", "what", "target", "before", "after", "undo"))


class BrokenRecord(BasculeError):
    """A line that is no intact record."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first broken record: its line from 1, and what is wrong with it."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`intact` records precede `fault`; `head` is the last intact hash; `torn` bytes follow the last newline."""

    intact: int
    head: str
    fault: Fault | None
    torn: int


def encode(entry: Entry, seq: int, previous: str) -> bytes:
    """The line of one record, newline included. `previous` is the hash of record seq - 1, GENESIS for the first."""
    body = {"seq": seq, "prev": previous, **entry.document()}
    return _canonical({**body, "hash": _hash(body)}) + b"\n"


def decode(line: bytes, seq: int, previous: str) -> Record:
    """The record on a line (without its newline) in its place. Raises BrokenRecord."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BrokenRecord("it is no JSON", str(error)) from error
    if not isinstance(body, dict) or not body.keys() >= _CONTENT | {"seq", "prev", "hash"}:
        raise BrokenRecord("it is no journal record: keys are missing")
    claimed = body.pop("hash")
    try:
        found = _hash(body)
    except ValueError as error:
        raise BrokenRecord("it holds what JSON cannot", str(error)) from error
    if claimed != found:
        raise BrokenRecord("its content is not what its hash was made from: it was changed")
    if body["prev"] != previous:
        raise BrokenRecord("it does not follow the record before it: one was removed, added or moved")
    if body["seq"] != seq:
        raise BrokenRecord(f"it says number {body['seq']}, its place is {seq}")
    return Record(seq, found, {key: body[key] for key in body if key not in ("seq", "prev")})


def read(data: bytes) -> Iterator[Record]:
    """The intact records of a journal from the start. Raises BrokenRecord at the first that is not, naming its line."""
    previous = GENESIS
    for seq, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            record = decode(line, seq, previous)
        except BrokenRecord as error:
            raise BrokenRecord(f"journal record {seq} is broken: {error.message}", error.cause) from error
        previous = record.hash
        yield record


def verify(data: bytes) -> Verdict:
    """Check a whole journal, and name the first broken record."""
    *lines, torn = data.split(b"\n")
    previous = GENESIS
    for seq, line in enumerate(lines, 1):
        try:
            previous = decode(line, seq, previous).hash
        except BrokenRecord as error:
            return Verdict(seq - 1, previous, Fault(seq, error.message), len(torn))
    return Verdict(len(lines), previous, None, len(torn))


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
