"""Captures become flow records: against what tcpdump's own writer, dpkt, and hand-made frames say."""

from __future__ import annotations

import struct
from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.errors import UsageError
from bascule.flows.filter import read_filter
from bascule.flows.frames import record_of
from bascule.flows.record import RECORD
from bascule_console.services.flowfile import read_file
from bascule_console.services.flowquery import open_file
from bascule_console.services.replay import replay

A, B = bytes.fromhex("525400006e01"), bytes.fromhex("525400006e02")


def tcp(payload: int = 10, vlan: int = 0, flags: int = 2) -> bytes:
    segment = dpkt.tcp.TCP(sport=40000, dport=443, flags=flags, data=b"x" * payload)
    packet = dpkt.ip.IP(src=bytes([10, 110, 0, 11]), dst=bytes([10, 110, 0, 12]), p=6, data=segment)
    packet.len = len(packet)
    ether = bytes(dpkt.ethernet.Ethernet(src=A, dst=B, type=0x0800, data=packet))
    return ether[:12] + struct.pack(">HH", 0x8100, vlan) + ether[12:] if vlan else ether


def capture(path: Path, frames: list[bytes], writer: type = dpkt.pcapng.Writer) -> Path:
    with path.open("wb") as file:
        out = writer(file)
        for at, frame in enumerate(frames):
            out.writepkt(frame, ts=1_700_000_000 + at / 10)
    return path


@pytest.mark.parametrize("writer", [dpkt.pcapng.Writer, dpkt.pcap.Writer])
def test_a_capture_is_filtered_like_anything_else(tmp_path: Path, writer: type) -> None:
    frames = [tcp(vlan=110)] * 8 + [tcp(payload=100)] * 4 + [b"short"]
    found = open_file(capture(tmp_path / "some.pcap", frames, writer), read_filter("vlan:110 port:443"))
    (row,) = found.store.rows(found.ids)
    assert (row["node"], row["vlan"], row["packets"], row["bytes"]) == ("some", 110, 8, 8 * len(frames[0]))
    assert (row["src"]["ip"], row["src"]["port"], row["dst"]["port"], row["flags"]) == ("10.110.0.11", 40000, 443, "S")
    assert (row["verdict"], row["direction"]) == ("unknown", "unknown") and row["src"]["why"]
    assert found.ledger.to_dict() == {"seen": 13, "sent": 8, "lost": {"unreadable": 1}, "filtered": 4}


def test_a_capture_on_screen_stands_still_at_its_end(tmp_path: Path) -> None:
    store = replay(capture(tmp_path / "c.pcapng", [tcp()] * 30))
    (line,) = store.flows.rows().values()
    assert line.packets == 30 and sum(store.flows.series(line)) > 0
    assert abs(store.flows.now_ns() - 1_700_000_003_000_000_000) < 10**9


def test_a_cut_capture_gives_what_stands_before_the_cut(tmp_path: Path) -> None:
    path = capture(tmp_path / "c.pcapng", [tcp()] * 30)
    path.write_bytes(path.read_bytes()[:-40])
    read = read_file(path)
    frames = sum(int(batch.records["packets"].sum()) for batch in read.batches())
    assert frames == 25 and "breaks off after frame 29" in read.problem  # whole half seconds only


def test_a_capture_without_ethernet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "any.pcap"
    with path.open("wb") as file:
        dpkt.pcap.Writer(file, linktype=113).writepkt(b"x" * 40, ts=1.0)
    with pytest.raises(UsageError, match="no Ethernet"):
        list(read_file(path).batches())


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_none(frame: bytes) -> None:
    made = record_of(frame, len(frame), 5)
    assert (made is None) == (len(frame) < 14)
    if made is not None:
        assert len(made) == RECORD.itemsize
