"""Handshake time, retransmits and reordering by the port programs, for hand-made TCP whose truth is known."""

import struct
import time

import pytest
from tests.agent import test_flows_corpus as corpus
from tests.agent.test_flows_corpus import GUEST, IP, OTHER, PEER, ether, ipv4

from bascule.flows.record import EGRESS, INGRESS
from bascule_agent.bpf import raw
from bascule_agent.bpf.flows_map import swap_and_drain
from bascule_agent.flows.estimates import put_estimates

pytestmark = pytest.mark.root

SYN, ACK, PSH = 2, 16, 8
objects = corpus.objects  # its fixture: the programs with `lo` as a port


class Talk:
    """One TCP connection between the guest and a peer, segment by segment."""

    def __init__(self, objects, port):
        self._objects, self._port = objects, port

    def say(self, direction, seq, flags=ACK, payload=0):
        out = direction == EGRESS
        ports = (self._port, 443) if out else (443, self._port)
        tcp = struct.pack("!HHIIBBHHH", *ports, seq & 0xFFFFFFFF, 0, 0x50, flags, 1000, 0, 0) + bytes(payload)
        ends = {"src": IP, "dst": PEER} if out else {"src": PEER, "dst": IP}
        macs = {"src": GUEST, "dst": OTHER} if out else {"src": OTHER, "dst": GUEST}
        program = self._objects.programs["port_in" if out else "port_out"]
        verdict, _ = raw.test_run(program, ether(ipv4(tcp, 6, **ends), **macs))
        assert verdict == 0

    def told(self):
        """The record of each direction."""
        drained = swap_and_drain(self._objects, 0.0)
        put_estimates(drained.records, *self._objects.rows("estimates"))
        mine = [r for r in drained.records if self._port in (int(r["src_port"]), int(r["dst_port"]))]
        return {int(r["direction"]): r for r in mine}


@pytest.fixture
def talk(objects, request):
    """A connection of a port of its own."""
    swap_and_drain(objects, 0.0)
    return Talk(objects, 20000 + abs(hash(request.node.name)) % 20000)


def test_syn_to_syn_ack_is_measured_on_both_directions(talk):
    talk.say(EGRESS, 100, SYN)
    began = time.monotonic()
    time.sleep(0.02)
    talk.say(INGRESS, 900, SYN | ACK)
    most = (time.monotonic() - began) * 1e6
    talk.say(EGRESS, 101)
    for record in talk.told().values():
        assert 20_000 <= int(record["rtt_us"]) <= most + 5_000


def test_a_syn_that_is_sent_again_gives_no_time(talk):
    for _ in range(2):
        talk.say(EGRESS, 100, SYN)
    talk.say(INGRESS, 900, SYN | ACK)
    told = talk.told()
    assert int(told[EGRESS]["rtt_us"]) == 0 and int(told[EGRESS]["retransmits"]) == 1
    assert int(told[EGRESS]["flags"]) == SYN and int(told[INGRESS]["flags"]) == SYN | ACK


def test_segments_sent_again_are_counted_by_direction(talk):
    for seq in (0, 100, 200, 100, 200, 300):
        talk.say(EGRESS, 5000 + seq, PSH | ACK, 100)
    for seq in (0, 50):
        talk.say(INGRESS, 7000 + seq, ACK, 50)
    told = talk.told()
    assert (int(told[EGRESS]["retransmits"]), int(told[EGRESS]["reordered"])) == (2, 0)
    assert (int(told[INGRESS]["retransmits"]), int(told[INGRESS]["reordered"])) == (0, 0)


def test_a_hole_that_fills_at_once_is_reordering_and_later_a_retransmit(talk):
    for seq in (0, 200, 100):
        talk.say(EGRESS, seq, ACK, 100)
    assert int(talk.told()[EGRESS]["reordered"]) == 1
    talk.say(EGRESS, 400, ACK, 100)
    time.sleep(0.01)
    talk.say(EGRESS, 300, ACK, 100)
    told = talk.told()[EGRESS]
    assert (int(told["reordered"]), int(told["retransmits"])) == (1, 1)


def test_sequence_numbers_wrap_and_bare_acks_count_for_nothing(talk):
    for seq in (-150, -50, 50, 150):
        talk.say(EGRESS, seq, ACK, 100)
        talk.say(EGRESS, seq + 100, ACK)
    told = talk.told()[EGRESS]
    assert (int(told["reordered"]), int(told["retransmits"])) == (0, 0)


def test_records_that_the_table_does_not_know_stay_unknown(objects):
    Talk(objects, 19999).say(EGRESS, 1, SYN)
    records = swap_and_drain(objects, 0.0).records
    keys, seen = objects.rows("estimates")
    put_estimates(records, keys[keys["ifindex"] == 0], seen[keys["ifindex"] == 0])
    assert len(records) and not records["flags"].any()
    put_estimates(records, keys, seen)
    assert records["flags"].any()
