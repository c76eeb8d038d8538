"""Top talkers against plain sums; blocks, recordings and captures' frames come back as they went."""

import io
from collections import Counter
from ipaddress import IPv4Network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.errors import BasculeError, UsageError
from bascule.flows.block import pack, unpack
from bascule.flows.filter import read_filter
from bascule.flows.ledger import Ledger
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.recording import RecordingError, entry, header, read_entries, read_header
from bascule.flows.scene import Scene
from bascule.flows.store import Batch
from bascule.flows.surroundings import AddressSet, Gateway, Surroundings, VlanSubnet
from bascule.flows.when import seconds_of, since
from bascule.flows.window import Window, kept_by, top

S = 10**9
PORT = PortId("a", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11", (("app", "web"),))
raw_records = st.lists(st.binary(min_size=RECORD.itemsize, max_size=RECORD.itemsize), max_size=6)


def records(*ports, at_s=60.0, verdict=1):
    made = np.zeros(len(ports), RECORD)
    made["ifindex"], made["dst_port"], made["packets"], made["bytes"] = 7, ports, 2, 100
    made["verdict"], made["last"], made["ethertype"], made["proto"] = verdict, int(at_s * S), 0x800, 6
    return made


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(1, 60), st.sampled_from([1, 2, 3, 0])), max_size=30))
def test_talkers_are_plain_sums_over_the_span(entries):
    parts = [records(port, at_s=at, verdict=verdict) for port, at, verdict in entries]
    scene = Scene(np.concatenate([records(), *parts], dtype=RECORD), "a", Names([PORT]))
    for seconds in (2, 10, 60):
        found = {t.values[0]: t for t in top([scene, scene], ["dst.port"], 60 * S, seconds)}
        inside = [(str(p), v) for p, at, v in entries if 60 * S - int(at * S) < seconds * S]
        packets = Counter(p for p, _ in inside for _ in range(4))
        dropped = Counter(p for p, v in inside if v in (2, 3) for _ in range(4))
        assert {p: t.packets for p, t in found.items()} == dict(packets)
        assert {p: t.dropped for p, t in found.items() if t.dropped} == dict(dropped)
        assert all(len(t.series) == 30 and sum(t.series) >= t.bytes for t in found.values())


def test_a_talkers_minute_holds_nothing_older():
    scene = Scene(np.concatenate([records(80, at_s=at) for at in (100, 41, 40, 10)], dtype=RECORD), "a", Names([PORT]))
    (found,) = top([scene], ["dst.port"], 100 * S, 60)
    assert found.bytes == sum(found.series) == 200
    assert (found.series[0], found.series[-1]) == (100, 100)


def test_talkers_by_several_columns_and_a_filter():
    scene = Scene(np.concatenate([records(80, 80, 443), records(80, verdict=3)], dtype=RECORD), "a", Names([PORT]))
    found = top(kept_by([scene], read_filter("verdict:allow")), ["vm", "dst.port"])
    assert [(t.values, t.packets, t.flows) for t in found] == [(("web-1", "80"), 4, 2), (("web-1", "443"), 2, 1)]


def test_the_window_forgets_by_time_and_tells_what_it_had_no_room_for():
    window = Window(records=10)
    for at in range(1, 101):
        window.add("a", at * S, records(80, at_s=at))
    assert window.cut == 90 * 2
    (scene,) = window.scenes(5, 100 * S, Names())
    assert len(scene) == 5
    window.forget("a")
    assert window.scenes(60, 100 * S, Names()) == []


@given(raw_records)
def test_a_block_gives_back_every_byte(frames):
    made = np.frombuffer(b"".join(frames), RECORD)
    assert unpack(pack(made)).tobytes() == made.tobytes()


@given(st.binary(max_size=60))
def test_bytes_that_are_no_block_are_one_clear_error(data):
    with pytest.raises(BasculeError, match="cannot be read"):
        unpack(data)


AROUND = Surroundings(
    (Gateway("dc1", 110, "10.110.0.1"),),
    (AddressSet("partners", "", (IPv4Network("198.51.100.0/24"),), (("a", "b"),)),),
    (VlanSubnet("dc1", 110, IPv4Network("10.110.0.0/24")),),
)


@given(st.lists(raw_records, max_size=4))
def test_a_recording_is_what_was_recorded(batches):
    file, made = io.BytesIO(), []
    file.write(header(AROUND))
    for number, frames in enumerate(batches):
        one = Batch("a", number, np.frombuffer(b"".join(frames), RECORD), (PORT,), Ledger(9, 7, {"map-full": 2}))
        made.append(one)
        file.write(entry(one))
    file.seek(0)
    assert read_header(file, "f") == AROUND
    for one, back in zip(made, read_entries(file, "f"), strict=True):
        assert (back.node, back.time_ns, back.ports, back.ledger) == (one.node, one.time_ns, one.ports, one.ledger)
        assert back.records.tobytes() == one.records.tobytes()


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_broken_recording_is_named_never_read_wrongly(junk, cut):
    whole = header(AROUND) + entry(Batch("a", 1, records(80), (PORT,), Ledger()))
    file = io.BytesIO(whole[: len(whole) - cut] + junk)
    try:
        read_header(file, "f")
        for batch in read_entries(file, "f"):
            assert batch.records.tobytes() == records(80).tobytes()
    except RecordingError as error:
        assert "f" in error.message


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("2d", 172800), ("5", None), ("m", None)])
def test_spans(text, seconds):
    assert seconds_of(text) == seconds


def test_moments():
    now = 1_800_000_000 * S
    assert since("10m", now) == now - 600 * S
    assert since("2026-11-23T12:00:00Z", now) == since("2026-11-23T12:00:00", now) == 1795435200 * S
    with pytest.raises(UsageError, match="is no time"):
        since("yesterday", now)
