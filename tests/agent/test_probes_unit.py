"""Bookkeeping, schedule and request checks of the probes; no sockets."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.protocol.gen.agent_pb2 import ProbeRequest
from bascule_agent.probes import ProbeError
from bascule_agent.probes.ledger import Ledger
from bascule_agent.probes.schedule import Schedule
from bascule_agent.probes.service import check


@given(st.lists(st.tuples(st.sampled_from(["sent", "answer", "again", "stranger", "drain"]), st.integers(0, 40))))
def test_every_probe_is_reported_and_every_answer_finds_its_probe(steps: list[tuple[str, int]]) -> None:
    ledger, reported, duplicates = Ledger(), {}, 0
    sent: dict[int, int] = {}
    truth_duplicates = 0
    for step, pick in [*steps, ("drain", 0)]:
        seq = 70_000 + pick
        if step == "sent" and seq not in sent:
            sent[seq] = 0
            ledger.sent(seq, seq * 10)
        elif step in ("answer", "again") and seq in sent:
            truth_duplicates += sent[seq] > 0
            sent[seq] += 1
            ledger.answered(seq, seq * 10 + 5)
        elif step == "stranger":
            ledger.answered(seq - 65_536, 1)
        elif step == "drain":
            drained = ledger.drain()
            duplicates += drained.duplicates
            for number, tx, rx in zip(drained.seq, drained.tx_ns, drained.rx_ns, strict=True):
                assert tx == number * 10
                assert rx or number not in reported, "reported unanswered twice"
                reported[number] = rx
    assert {seq: bool(rx) for seq, rx in reported.items()} == {seq: times > 0 for seq, times in sent.items()}
    assert duplicates == truth_duplicates


def test_a_withdrawn_line_is_no_probe() -> None:
    ledger = Ledger()
    ledger.sent(1, 10)
    ledger.withdraw(1)
    assert ledger.drain().seq == []


def test_the_first_error_stays() -> None:
    ledger = Ledger()
    ledger.failed("reset by the peer")
    ledger.failed("closed by the peer")
    assert [ledger.drain().error, ledger.drain().error] == ["reset by the peer", "reset by the peer"]


def test_the_schedule_does_not_drift_and_skips_what_it_missed() -> None:
    now = [1000]
    schedule = Schedule(100, lambda: now[0])
    due = []
    for work in (10, 40, 99, 5, 350, 1, 1):  # ns spent on each probe
        now[0] += work
        now[0] += round(schedule.next_delay() * 1e9)
        due.append(now[0] - 1000)
    assert due == [100, 200, 300, 400, 750, 800, 900]  # the late one goes at once, the next is on the grid again


def test_the_schedule_never_bunches() -> None:
    now = [0]
    schedule = Schedule(100, lambda: now[0])
    now[0] = 1000
    assert schedule.next_delay() == 0
    assert schedule.next_delay() == pytest.approx(100e-9)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"address": "10.0.0.1", "kind": "udp"}, "kind 'udp'"),
        ({"address": "10.0.0.300"}, "address '10.0.0.300'"),
        ({"address": "fd00::1"}, "IPv4"),
        ({"address": ""}, "address ''"),
        ({"address": "224.0.0.1"}, "one host"),
        ({"address": "255.255.255.255"}, "one host"),
        ({"address": "10.0.0.1", "interval_ms": 0.5}, "interval_ms 0.5"),
        ({"address": "10.0.0.1", "interval_ms": float("nan")}, "interval_ms nan"),
        ({"address": "10.0.0.1", "interval_ms": -5}, "interval_ms -5"),
        ({"address": "10.0.0.1", "seconds": -1}, "seconds -1"),
        ({"address": "10.0.0.1", "seconds": float("inf")}, "seconds inf"),
    ],
)
def test_a_bad_request_is_named(fields: dict[str, object], names: str) -> None:
    with pytest.raises(ProbeError) as caught:
        check(ProbeRequest(**fields))
    assert names in caught.value.message
    assert caught.value.fix


def test_defaults_of_a_request() -> None:
    assert check(ProbeRequest(address="10.0.0.1")) == ("icmp", 5.0)
    assert check(ProbeRequest(address="10.0.0.1", kind="tcp-echo")) == ("tcp-echo", 20.0)


@pytest.mark.root
def test_an_answer_is_matched_beyond_the_16_bit_wrap() -> None:
    from bascule_agent.probes import IcmpProber

    prober = IcmpProber("192.0.2.1", 5)
    other = IcmpProber("192.0.2.1", 5)
    try:
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 44, 0, 0, 64, 1, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 9]))
        for seq in (1, 65_535, 65_536, 65_537, 3 * 65_536 + 1, 10**9):
            packet = prober._request(seq)
            assert struct.unpack_from("!H", packet, 6)[0] == seq & 0xFFFF
            assert prober._match(header + packet) == seq
            assert other._match(header + packet) is None
        assert prober._match(header + packet[:12]) is None
        assert prober._match(header[:12] + bytes([192, 0, 2, 7]) + header[16:] + packet) is None
    finally:
        prober.stop()
        other.stop()
