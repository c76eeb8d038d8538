"""The journal's chain: any change to any byte of a written journal is found, at the record where it is."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.journal import GENESIS, Entry, Reference, Undo, encode, verify
from bascule.journal.chain import read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.none() | st.dictionaries(st.text(max_size=5), JSON, max_size=3)
ENTRIES = st.builds(
    Entry,
    time=st.just("2026-11-23T09:00:00+00:00"),
    who=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2),
    what=st.sampled_from(["apply", "delete"]),
    target=st.builds(Reference, st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)),
    before=OBJECTS,
    after=OBJECTS,
    undo=st.none() | st.builds(Undo, st.just("apply"), OBJECTS),
)


def write(entries: list[Entry]) -> bytes:
    data, head = b"", GENESIS
    for seq, entry in enumerate(entries, 1):
        line = encode(entry, seq, head)
        head = json.loads(line)["hash"]
        data += line
    return data


@given(st.lists(ENTRIES, max_size=5))
def test_what_was_written_verifies_and_reads_back(entries: list[Entry]) -> None:
    data = write(entries)
    verdict = verify(data)
    assert (verdict.intact, verdict.fault, verdict.torn) == (len(entries), None, 0)
    assert [record.content["what"] for record in read(data)] == [entry.what for entry in entries]
    assert [record.seq for record in read(data)] == list(range(1, len(entries) + 1))


@settings(max_examples=300)
@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
def test_any_changed_byte_is_named_at_its_record(entries: list[Entry], data: st.DataObject) -> None:
    whole = write(entries)
    at = data.draw(st.integers(0, len(whole) - 2))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 127))]) + whole[at + 1 :]
    verdict = verify(changed)
    assert verdict.fault is not None or _same_documents(whole, changed)
    if verdict.fault is not None:
        assert verdict.fault.line <= whole.count(b"\n", 0, at) + 1


def _same_documents(one: bytes, other: bytes) -> bool:
    """A byte can be changed without a change of meaning (an escape in upper case); hashes are of the meaning."""
    return [json.loads(line) for line in one.splitlines()] == [json.loads(line) for line in other.splitlines()]


@given(st.lists(ENTRIES, min_size=3, max_size=4), st.data())
def test_a_record_dropped_doubled_or_moved_is_found(entries: list[Entry], data: st.DataObject) -> None:
    lines = write(entries).splitlines(keepends=True)
    index = data.draw(st.integers(0, len(lines) - 2))
    dropped = lines[:index] + lines[index + 1 :]
    doubled = lines[: index + 1] + lines[index:]
    moved = [*lines[:index], lines[index + 1], lines[index], *lines[index + 2 :]]
    for broken, place in ((dropped, index + 1), (doubled, index + 2), (moved, index + 1)):
        verdict = verify(b"".join(broken))
        assert verdict.fault is not None and verdict.fault.line == place


def test_a_torn_append_is_told_apart_from_a_broken_record() -> None:
    entry = Entry("t", {}, "apply", Reference("v1", "Node", "", "n"), None, {}, None)
    data = write([entry, entry])
    verdict = verify(data[:-10])
    assert verdict.fault is None and verdict.intact == 1 and verdict.torn > 0


def test_the_hash_is_sha256_of_the_canonical_record() -> None:
    """The witness: the format recomputed here by hand."""
    entry = Entry("t", {"user": "u"}, "apply", Reference("v1", "Node", "", "n"), None, {"a": 1}, Undo("delete"))
    body = json.loads(encode(entry, 1, GENESIS))
    claimed = body.pop("hash")
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    assert claimed == hashlib.sha256(canonical).hexdigest() and body["prev"] == "0" * 64


def test_rubbish_is_a_fault_never_a_traceback() -> None:
    for rubbish in (b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b"null\n", b"[" * 100_000 + b"\n", b'{"seq":NaN}\n'):
        verdict = verify(rubbish)
        assert verdict.fault is not None and verdict.fault.line == 1
