"""Probes over a veth between two namespaces; the truth is the far kernel's own ICMP counters and a scripted peer."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bascule.continuity import SeriesLog, measure
from bascule.protocol.gen.agent_pb2 import ProbeBatch, ProbeRequest
from bascule_agent.netlink import in_netns
from bascule_agent.probes import ProbeLimitError, Prober

pytestmark = pytest.mark.root
NEAR, FAR, ADDRESS = "h7-near", "h7-far", "10.77.0.2"


@pytest.fixture(scope="module", autouse=True)
def pair() -> Iterator[None]:
    def ip(arguments: str) -> None:
        subprocess.run(["ip", *arguments.split()], check=True, capture_output=True)

    for name in (NEAR, FAR):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    try:
        ip(f"netns add {NEAR}")
        ip(f"netns add {FAR}")
        ip(f"-n {NEAR} link add h7-a type veth peer name h7-b netns {FAR}")
        for name, link, address in ((NEAR, "h7-a", "10.77.0.1/24"), (FAR, "h7-b", f"{ADDRESS}/24")):
            ip(f"-n {name} address add {address} dev {link}")
            ip(f"-n {name} link set {link} up")
            ip(f"-n {name} link set lo up")
        yield
    finally:
        for name in (NEAR, FAR):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def counters() -> dict[str, int]:
    """The far kernel's ICMP counters: the witness."""

    def read() -> dict[str, int]:
        names, values = (line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()
                         if line.startswith("Icmp:"))  # fmt: skip
        return {name: int(value) for name, value in zip(names[1:], values[1:], strict=True)}

    return in_netns(FAR, read)


def ignore_echo(value: int) -> int:
    """Make the far kernel deaf to echo requests (1) or not (0); returns when, in CLOCK_REALTIME ns."""
    in_netns(FAR, lambda: Path("/proc/sys/net/ipv4/icmp_echo_ignore_all").write_text(str(value)))
    return time.time_ns()


def collect(request: ProbeRequest, after: Callable[[int], None] = lambda _: None) -> tuple[SeriesLog, list[ProbeBatch]]:
    """Run one probe from the near namespace to its end; `after(n)` is called in a thread after batch n."""
    log, batches = SeriesLog(), []

    async def run() -> None:
        async for batch in Prober("near").stream(request):
            log.add(batch.seq, batch.tx_ns, batch.rx_ns, batch.duplicates)
            batches.append(batch)
            await asyncio.to_thread(after, len(batches))

    in_netns(NEAR, lambda: asyncio.run(run()))
    return log, batches


def test_a_planted_block_of_150_ms_is_found_and_lost_equals_the_kernels_count() -> None:
    window: list[int] = []

    def plant(batch: int) -> None:
        if batch == 4:
            window.append(ignore_echo(1))
            deaf, latest = counters()["InEchos"], time.monotonic() + 0.5
            time.sleep(0.15)
            # a busy machine asks less often in 150 ms
            while counters()["InEchos"] - deaf < 25 and time.monotonic() < latest:
                time.sleep(0.005)
            window.append(ignore_echo(0))

    before = counters()
    log, batches = collect(ProbeRequest(address=ADDRESS, interval_ms=5, seconds=1.0), plant)
    after = counters()
    points = log.points()
    stats = measure(points, 5)
    asked = after["InEchos"] - before["InEchos"]
    replied = after["OutEchoReps"] - before["OutEchoReps"]
    assert stats.sent == asked > 150
    assert stats.lost == asked - replied > 20
    block_ms = (window[1] - window[0]) / 1e6
    spacing_ms = max((b[1] - a[1]) / 1e6 for a, b in zip(points, points[1:], strict=False))
    assert abs(stats.lost_window_ms - block_ms) <= max(5.0, spacing_ms) + 1.0
    assert stats.longest_gap_ms is not None
    assert block_ms - 1 <= stats.longest_gap_ms <= block_ms + 2 * max(5.0, spacing_ms) + 2
    assert [p[0] for p in points] == list(range(1, len(points) + 1))
    assert {b.HasField("clock") for b in batches} == {True}
    assert {getattr(b, "from") for b in batches} == {"near"}


def test_probes_keep_the_schedule() -> None:
    log, _ = collect(ProbeRequest(address=ADDRESS, interval_ms=5, seconds=1.0))
    points = log.points()
    # A busy machine skips slots; the grid stays: every tx lies on it, at or shortly after a multiple of 5 ms.
    phases = sorted(((p[1] - points[0][1]) / 1e6) % 5 for p in points)
    assert phases[len(phases) // 2] < 2.5
    assert all(point[2] is None or 0 < point[2] - point[1] < 1e9 for point in points)
    assert measure(points, 5).lost == 0


def responder(script: Callable[[int, bytes, Callable[[bytes], None]], None], stop: threading.Event) -> threading.Thread:
    """Answers echo requests in the far namespace as `script(seq, reply, send)` says; the kernel's own echo is off."""
    sock = in_netns(FAR, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    sock.settimeout(0.05)

    def run() -> None:
        with sock:
            while not stop.is_set():
                try:
                    packet = sock.recv(300)
                except TimeoutError:
                    continue
                if packet[20] == 8:
                    seq = struct.unpack_from("!Q", packet, 36)[0]
                    total = sum(struct.unpack(f"!{len(packet[24:]) // 2}H", packet[24:]))
                    total = (total >> 16) + (total & 0xFFFF)
                    body = struct.pack("!BBH", 0, 0, ~(total + (total >> 16)) & 0xFFFF) + packet[24:]
                    script(seq, body, lambda data: sock.sendto(data, ("10.77.0.1", 0)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_duplicates_late_and_forged_answers_are_told_apart() -> None:
    seen: set[int] = set()
    kept: dict[int, bytes] = {}

    def script(seq: int, reply: bytes, send: Callable[[bytes], None]) -> None:
        seen.add(seq)
        if seq % 10 == 3:
            return  # lost
        if seq % 10 == 4:
            send(reply)  # answered twice
        if seq == 7:
            kept[seq] = reply  # answered 25 probes later
            return
        if seq == 32:
            send(kept[7])
        send(reply)
        if seq % 10 == 6:  # not ours: another token, but a valid checksum: swap two 16-bit words of the payload
            send(reply[:8] + reply[10:12] + reply[8:10] + reply[12:])

    stop = threading.Event()
    ignore_echo(1)
    thread = responder(script, stop)
    try:
        log, batches = collect(ProbeRequest(address=ADDRESS, interval_ms=5, seconds=0.6))
    finally:
        stop.set()
        thread.join()
        ignore_echo(0)
    points = log.points()
    assert {p[0] for p in points} == seen
    assert {p[0] for p in points if p[2] is None} == {s for s in seen if s % 10 == 3}
    assert log.duplicates == sum(s % 10 == 4 for s in seen)
    late = next(p for p in points if p[0] == 7)
    assert late[2] - late[1] > 25e6
    assert sum(7 in batch.seq for batch in batches) == 2, "reported when sent and again when answered"


def test_a_path_that_is_down_is_loss_with_a_reason() -> None:
    log, batches = collect(ProbeRequest(address="10.88.0.1", interval_ms=10, seconds=0.2))
    stats = measure(log.points(), 10)
    assert stats.sent == stats.lost > 10
    assert "unreachable" in batches[-1].error


class EchoServer:
    """Port 7 in the far namespace; `stall`, `reset` and `close` are the test's to use."""

    def __init__(self) -> None:
        self._listener = in_netns(FAR, lambda: socket.create_server((ADDRESS, 7)))
        self.lines = 0
        self.stalled, self._thread = threading.Event(), threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._peer, _ = self._listener.accept()
        try:
            while data := self._peer.recv(4096):
                while self.stalled.is_set():
                    time.sleep(0.01)
                self.lines += data.count(b"\n")
                self._peer.sendall(data)
        except OSError:
            pass

    def reset(self) -> None:
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._listener.close()
        if hasattr(self, "_peer"):
            # shutdown() would send a FIN first; close alone sends the RST that SO_LINGER 0 asks for.
            self._peer.close()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


def test_a_tcp_session_survives_a_stall(echo: EchoServer) -> None:
    def stall(batch: int) -> None:
        if batch == 4:
            echo.stalled.set()
            time.sleep(0.3)
            echo.stalled.clear()

    log, batches = collect(ProbeRequest(address=ADDRESS, kind="tcp-echo", interval_ms=20, seconds=1.0), stall)
    stats = measure(log.points(), 20)
    assert stats.sent == echo.lines > 25
    assert stats.lost == 0
    assert stats.longest_gap_ms is not None and 280 <= stats.longest_gap_ms < 500
    assert batches[-1].error == ""


@pytest.mark.parametrize(("how", "why"), [("reset", "reset by the peer"), ("close", "closed by the peer")])
def test_the_end_of_a_tcp_session_is_reported_and_ends_the_stream(echo: EchoServer, how: str, why: str) -> None:
    def end(batch: int) -> None:
        if batch == 3:
            in_netns(FAR, getattr(echo, how)) if how == "reset" else echo._peer.shutdown(socket.SHUT_RDWR)

    began = time.monotonic()
    log, batches = collect(ProbeRequest(address=ADDRESS, kind="tcp-echo", seconds=30), end)
    assert time.monotonic() - began < 5
    assert batches[-1].error == why
    assert measure(log.points(), 20).sent >= 5


def test_no_echo_service_is_not_a_session_that_died() -> None:
    log, batches = collect(ProbeRequest(address=ADDRESS, kind="tcp-echo", seconds=5))
    assert batches[-1].error == "not connected: Connection refused"
    assert len(log) == 0


def test_the_number_of_probes_is_bounded_and_given_back() -> None:
    async def run() -> None:
        prober = Prober("near", limit=1)
        request = ProbeRequest(address=ADDRESS)
        first: AsyncIterator[ProbeBatch] = prober.stream(request)
        await anext(first)
        with pytest.raises(ProbeLimitError):
            await anext(prober.stream(request))
        threads = threading.active_count()
        await first.aclose()
        assert threading.active_count() <= threads - 2 + 1  # both probe threads ended; to_thread may have added one
        again = prober.stream(request)
        await anext(again)
        await again.aclose()

    in_netns(NEAR, lambda: asyncio.run(run()))


@pytest.mark.long
def test_ten_thousand_probes_add_up() -> None:
    before = counters()
    log, _ = collect(ProbeRequest(address=ADDRESS, interval_ms=1, seconds=12))
    after = counters()
    stats = measure(log.points(), 1)
    assert stats.sent == after["InEchos"] - before["InEchos"] >= 10_000
    assert stats.lost == stats.sent - (after["OutEchoReps"] - before["OutEchoReps"]) == 0
    assert [p[0] for p in log.points()] == list(range(1, stats.sent + 1))
