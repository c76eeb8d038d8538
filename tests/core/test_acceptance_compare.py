"""Acceptance: every line is in one class, whatever the order of what was recorded, and nothing is inferred."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.errors import RefusedError
from bascule.flows.record import RECORD
from bascule.migration.acceptance import (
    CLASSES,
    DYNAMIC,
    KEPT,
    NEW,
    OPEN,
    STOPPED,
    Compared,
    Thresholds,
    VmAcceptance,
    compare,
    rows,
    span,
    summary,
)
from bascule.migration.acceptance_document import Signature, comparison, document, unaccepted
from bascule.migration.acceptance_flows import TCP, UDP, Heard, Identity, Recorded, of_records, of_talks
from bascule.migration.acceptance_page import html
from bascule.migration.talk import of_csv

S, MINUTE, HOUR = 10**9, 60 * 10**9, 3600 * 10**9
T0 = 1_795_435_200 * S
VM, PEER, OTHER = "10.110.0.31", "10.110.0.11", "198.51.100.10"
WEB = Identity("/web", "web-1", "web-1", 1, (VM,), ("52:54:00:1d:6e:1f",))
SYN, ALL, RESET = 0x02, 0x1B, 0x14


def window(start: int, length: int, *heard: Heard, **more: Any) -> Recorded:
    return Recorded("test", tuple(heard), start, start + length, **more)


def asked(
    at: int, until: int, *, port: int = 443, source: int = 40000, peer: str = PEER, proto: int = TCP
) -> list[Heard]:
    """The peer calls the VM, and it answers."""
    return [
        Heard(peer, VM, TCP, source, port, 10, 1000, 0, at, until, ALL),
        Heard(VM, peer, TCP, port, source, 9, 9000, 0, at + 1000, until, ALL),
    ]


BEFORE = window(T0, 2 * HOUR, *asked(T0 + MINUTE, T0 + 2 * HOUR))
START = T0 + 3 * HOUR


def one(after: Recorded, before: Recorded = BEFORE, **limits: float) -> VmAcceptance:
    (found,) = compare(before, after, [WEB], {PEER: "shop-1"}, Thresholds(**limits))
    return found


def line(found: VmAcceptance, name: str) -> Compared:
    (each,) = [each for each in found.lines if each.name == name]
    return each


def test_who_talks_on_is_kept_and_who_began_is_told() -> None:
    found = one(window(START, HOUR, *asked(START + MINUTE, START + HOUR, source=51234)))
    (kept,) = found.lines
    assert (kept.status, kept.name, kept.at, found.verdict) == (KEPT, f"{PEER}:443", "vm", KEPT)
    assert (kept.began_before, kept.began_after, kept.peer_name) == ("peer", "peer", "shop-1")
    assert (kept.before, kept.after) == (19, 19)


def test_who_fell_silent_stopped_and_the_figures_are_told() -> None:
    (gone,) = one(window(START, 30 * MINUTE)).lines
    assert gone.status == STOPPED and gone.evidence.startswith("nothing in 30 min after")
    assert "60 s" in gone.evidence, "the longest silence of before"


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ([Heard(PEER, VM, TCP, 40000, 443, 5, 300, 0, START, START + HOUR, SYN)], "unanswered: 0 frames out, 5 back"),
        ([Heard(PEER, VM, TCP, 40000, 443, 5, 300, 5, START, START + HOUR, SYN)], "refused: 5 frames did not pass"),
        (
            [
                Heard(PEER, VM, TCP, 40000, 443, 5, 300, 0, START, START + HOUR, SYN),
                Heard(VM, PEER, TCP, 443, 40000, 5, 300, 0, START, START + HOUR, RESET),
            ],
            "answered by 5 TCP resets",
        ),
    ],
)
def test_asking_without_an_answer_is_no_talk(heard: list[Heard], says: str) -> None:
    (gone,) = one(window(START, HOUR, *heard)).lines
    assert gone.status == STOPPED and says in gone.evidence


def test_who_talked_and_fell_silent_again_stopped() -> None:
    (gone,) = one(window(START, HOUR, *asked(START, START + MINUTE))).lines
    assert gone.status == STOPPED and "last heard" in gone.evidence and "59 min ago" in gone.evidence


def test_a_short_window_stops_nobody() -> None:
    (each,) = one(window(START, 5 * MINUTE)).lines
    assert each.status == OPEN and "5 min of 10 min needed" in each.evidence
    assert one(window(START, 5 * MINUTE), enough_after_s=60.0).verdict == STOPPED


def test_a_nightly_job_has_not_stopped_at_noon() -> None:
    nights = [one for day in range(3) for one in asked(T0 + day * 24 * HOUR, T0 + day * 24 * HOUR + MINUTE)]
    before = window(T0, 72 * HOUR, *nights)
    start = T0 + 72 * HOUR
    (each,) = one(window(start, 12 * HOUR), before).lines
    assert each.status == OPEN and "quiet for up to 23 h 59 min of 3 d" in each.evidence and "12 h" in each.evidence
    (each,) = one(window(start, 25 * HOUR), before).lines
    assert each.status == STOPPED


def test_new_needs_a_long_enough_before() -> None:
    talk = asked(START + MINUTE, START + HOUR, peer=OTHER, port=22)
    assert line(one(window(START, HOUR, *talk)), f"{OTHER}:22").status == NEW
    short = window(T0, 10 * MINUTE, *asked(T0 + 2 * S, T0 + 10 * MINUTE))
    each = line(one(window(START, HOUR, *talk), short), f"{OTHER}:22")
    assert each.status == OPEN and "only 10 min were recorded before, of 1 h needed" in each.evidence
    untold = replace(short, since_ns=0, until_ns=0)
    assert line(one(window(START, HOUR, *talk), untold), f"{OTHER}:22").status == OPEN


def test_a_silent_node_stops_nobody() -> None:
    (each,) = one(window(START, HOUR, silent=("node2 (gone)",))).lines
    assert each.status == OPEN and "node2 (gone) told nothing" in each.evidence


def test_ports_are_those_that_were_called() -> None:
    """An NFS client calls from a port below the server's; a flow that was there before the window has no SYN in it."""
    early = [
        Heard(VM, PEER, TCP, 1000, 2049, 9, 900, 0, T0, T0 + 2 * HOUR, 0),
        Heard(PEER, VM, TCP, 2049, 1000, 9, 900, 0, T0, T0 + 2 * HOUR, 0),
    ]
    late = [
        Heard(VM, PEER, TCP, 900, 2049, 9, 900, 0, START + 5 * S, START + HOUR, ALL),
        Heard(PEER, VM, TCP, 2049, 900, 9, 900, 0, START + 6 * S, START + HOUR, ALL),
    ]
    (each,) = one(window(START, HOUR, *late), window(T0, 2 * HOUR, *early)).lines
    assert (each.status, each.port, each.at) == (KEPT, 2049, "peer")
    assert (each.began_before, each.began_after) == ("", "vm"), "who began was not recorded before"


def test_both_ways_of_what_has_no_ports_are_one_line() -> None:
    ping = [Heard(VM, PEER, 1, 0, 0, 5, 500, 0, T0, T0 + HOUR), Heard(PEER, VM, 1, 0, 0, 5, 500, 0, T0, T0 + HOUR)]
    asking = Heard(VM, PEER, 1, 0, 0, 5, 500, 0, START, START + HOUR)
    (each,) = one(window(START, HOUR, asking), window(T0, HOUR, *ping)).lines
    assert (each.status, each.name, each.at) == (STOPPED, f"{PEER}:icmp", "")
    assert each.evidence.startswith("unanswered: 5 frames out, 0 back")


def test_dynamic_ports_are_one_line() -> None:
    """A domain controller's RPC port after its reboot is another one, and no news."""
    early = asked(T0 + 5 * S, T0 + 2 * HOUR, port=49670, source=51000)
    late = [
        *asked(START + 5 * S, START + HOUR, port=49712, source=52000),
        *asked(START + 5 * S, START + HOUR, port=50001),
    ]
    (each,) = one(window(START, HOUR, *late), window(T0, 2 * HOUR, *early)).lines
    assert (each.status, each.port, each.name) == (KEPT, DYNAMIC, f"{PEER}:49152+")


def test_a_frame_seen_at_two_ports_counts_once() -> None:
    def record(ifindex: int, direction: int, verdict: int = 1) -> Any:
        made = np.zeros(1, RECORD)
        made["ethertype"], made["proto"], made["verdict"] = 0x0800, UDP, verdict
        made["src_ip"], made["dst_ip"] = [10, 110, 0, 31], [10, 110, 0, 11]
        made["src_port"], made["dst_port"], made["packets"], made["bytes"] = 5000, 53, 7, 700
        made["ifindex"], made["direction"], made["first"], made["last"] = ifindex, direction, T0, T0 + S
        return made

    other = record(9, 0)
    other["src_ip"] = [10, 99, 0, 1]
    other["dst_ip"] = [10, 99, 0, 2]
    parts = [("node1", record(3, 1)), ("node2", record(5, 0)), ("node2", other)]
    (heard,) = of_records(parts, [VM])
    assert heard == Heard(VM, PEER, UDP, 5000, 53, 7, 700, 0, T0, T0 + S)
    assert of_records(reversed(parts), [VM]) == (heard,)
    (denied,) = of_records([("node1", record(3, 1, 2))], [VM])
    assert denied.refused == 7


def test_a_list_without_times_is_compared_and_says_so() -> None:
    talks, _ = of_csv("old.csv", f"src,dst,proto,port,bytes\n{PEER},{VM},tcp,443,100\n{VM},{PEER},tcp,443,5\n".encode())
    before = Recorded("old.csv", of_talks(talks, [VM]))
    found = one(window(START, HOUR, *asked(START + MINUTE, START + HOUR)), before)
    assert {each.status for each in found.lines} == {KEPT, STOPPED}, "the VM was never heard to call the peer's 443"
    assert all(each.began_before == "" for each in found.lines)


ENDS = st.sampled_from([PEER, OTHER, "10.120.0.1"])
FLOWS = st.builds(
    lambda peer, out, proto, source, port, packets, bad, at, length, flags, start: Heard(
        *((VM, peer) if out else (peer, VM)), proto, source, port, packets, packets * 60, packets if bad else 0,
        start + at * S, start + (at + length) * S, flags if proto == TCP else 0,
    ),
    ENDS, st.booleans(), st.sampled_from([TCP, UDP, 1]), st.sampled_from([0, 53, 443, 40000, 50000]),
    st.sampled_from([0, 53, 443, 49999, 50001]), st.integers(1, 9), st.booleans(), st.integers(0, 7000),
    st.integers(0, 200), st.sampled_from([0, SYN, ALL, RESET]), st.just(0),
)  # fmt: skip


LENGTH = st.integers(1, 7200)


def moved(heard: list[Heard], start: int) -> tuple[Heard, ...]:
    return tuple(each._replace(first_ns=each.first_ns + start, last_ns=each.last_ns + start) for each in heard)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(FLOWS, max_size=12), st.lists(FLOWS, max_size=12), st.integers(1, 7200), st.integers(1, 7200), st.data()
)
def test_every_line_is_in_one_class_in_any_order(
    was: list[Heard], now: list[Heard], before_s: int, after_s: int, data: st.DataObject
) -> None:
    before = Recorded("b", moved(was, T0), T0, T0 + before_s * S)
    after = Recorded("a", moved(now, START), START, START + after_s * S)
    found = one(after, before)
    by_class = {status: found.of(status) for status in CLASSES}
    assert sum(map(len, by_class.values())) == len(found.lines)
    keys = [(each.peer, each.proto, each.port, each.at) for each in found.lines]
    assert len(set(keys)) == len(keys), "no line twice"
    for each in found.lines:
        assert each.status != KEPT or (each.before and each.after)
        assert each.status != NEW or not each.before
        assert each.status != STOPPED or each.before
        assert each.evidence
    if before_s < 3600:
        assert not by_class[NEW]
    if after_s < 600:
        assert not by_class[STOPPED]
    heard_before = {each.src if each.src != VM else each.dst for each in before.heard if each.packets > each.refused
                    and not each.is_reset}  # fmt: skip
    assert heard_before == {each.peer for each in found.lines if each.before}
    shuffled = replace(before, heard=tuple(data.draw(st.permutations(before.heard))))
    again = one(replace(after, heard=tuple(data.draw(st.permutations(after.heard)))), shuffled)
    assert again.lines == found.lines
    assert found.verdict in (KEPT, STOPPED, OPEN)
    assert summary([found])[0][STOPPED] == len(by_class[STOPPED]) and len(rows([found])) == len(found.lines)


def test_windows_by_vm_and_the_order_of_waves() -> None:
    late = Identity("/db", "db-1", "db-1", 2, ("10.120.0.31",))
    quiet = window(START, HOUR)
    found = compare({"/web": BEFORE, "/db": BEFORE}, {"/web": quiet, "/db": quiet}, [late, WEB])
    assert [(each.vm.name, each.verdict) for each in found] == [("web-1", STOPPED), ("db-1", OPEN)]
    assert found[1].lines == (), "nothing heard before is nothing to compare"


def test_signing_needs_a_word_for_what_stopped() -> None:
    found = [one(window(START, HOUR))]
    who = Signature("anna", "2026-11-23T12:00:00Z", "CHG-7")
    with pytest.raises(RefusedError, match="shop-1 stopped talking") as error:
        document(found, who)
    assert f"--accept-missing {PEER}:443" in error.value.fix and "nothing in 1 h" in error.value.cause
    with pytest.raises(RefusedError, match=f"{OTHER}:22 did not stop"):
        document(found, replace(who, missing=(f"{PEER}:443", f"{OTHER}:22")))
    for signature in (
        replace(who, missing=(f"{PEER}:443",)),
        replace(who, missing=(f"web-1/{PEER}:443",), reason="retired"),
        replace(who, reason="retired"),
    ):
        signed = document(found, signature, "abc")
        assert signed["format"] == "bascule-acceptance/1" and signed["accepted_missing"] == [f"web-1/{PEER}:443"]
        assert (signed["by"], signed["note"], signed["plan"]) == ("anna", "CHG-7", "abc")
        assert signed["vms"][0]["lines"][0]["evidence"] and signed["vms"][0]["before"]["seconds"] == 7200.0
        assert json.loads(json.dumps(signed)) == signed
    assert len(unaccepted(found, replace(who, reason="x", missing=("y",)))) == 1, "a reason for y is none for this"
    assert comparison(found, Thresholds())["totals"][STOPPED] == 1


def test_the_page_escapes_what_it_shows() -> None:
    found = compare(BEFORE, window(START, HOUR, silent=("<script>",)), [replace(WEB, name="<b>x")], {PEER: "<i>"})
    made = html(found, Thresholds())
    assert "<script>" not in made and "<b>x" not in made and "<i>" not in made and "&lt;b&gt;x" in made


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (119, "119 s"),
        (600, "10 min"),
        (3600, "1 h"),
        (12000, "3 h 20 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_lengths_of_time_are_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds) == text
