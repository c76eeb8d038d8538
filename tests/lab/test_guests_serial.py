"""The serial line protocol: answers are taken only whole, requests are repeated, an id runs once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_lab.guests.errors import SerialError
from bascule_lab.guests.qmp import parse_event
from bascule_lab.guests.real import parse_registers
from bascule_lab.guests.serial import SerialClient, parse_answer
from bascule_lab.guests.spec import GuestSpec

Reply = Callable[[list[str], int], bytes]


@given(st.binary(max_size=200), st.integers(0, 255))
def test_an_answer_comes_back_as_it_was(output: bytes, code: int) -> None:
    line = f"OUT ab12 {code} {base64.b64encode(output).decode()}"
    assert parse_answer(line.split(), "ab12") == (code, output)


@given(st.text(max_size=60))
def test_garbage_is_never_an_answer(line: str) -> None:
    assert parse_answer(line.split(), "ab12") is None


@pytest.mark.parametrize("line", ["OUT other 0 aGk=", "OUT ab12 x aGk=", "OUT ab12 0 aGk", "OUT ab12 0 a b", "OUT"])
def test_a_damaged_answer_is_none(line: str) -> None:
    assert parse_answer(line.split(), "ab12") is None


@asynccontextmanager
async def port(path: Path, reply: Reply) -> AsyncIterator[list[list[str]]]:
    """A serial port that damages lines on purpose: `reply` gets each line and its number. Yields the lines."""
    seen: list[list[str]] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while line := await reader.readline():
            if words := line.decode().split():
                seen.append(words)
                writer.write(reply(words, len(seen)))

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield seen
    finally:
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def test_a_swallowed_request_is_sent_again_with_its_id(tmp_path: Path) -> None:
    def second_time(words: list[str], number: int) -> bytes:
        return b"" if number == 1 else f"\x00\xffnoise\nOUT other 0 eA==\nOUT {words[1]} 3 aGk=\n".encode("latin-1")

    async with port(tmp_path / "s", second_time) as seen, SerialClient(tmp_path / "s") as client:
        assert await client.exec("true", 1) == (3, b"hi")
    assert len(seen) == 2
    assert seen[0] == seen[1], "same id, so the guest runs it once"


async def test_silence_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bascule_lab.guests.serial.ANSWER_MARGIN_S", 0.1)
    async with port(tmp_path / "s", lambda words, number: b""), SerialClient(tmp_path / "s") as client:
        assert not await client.answers(0.1)
        with pytest.raises(SerialError, match="silent"):
            await client.exec("true", 0.1)


async def test_no_guest_is_named(tmp_path: Path) -> None:
    with pytest.raises(SerialError, match="no serial port"):
        await SerialClient(tmp_path / "absent").connect(timeout=0.05)


def test_the_configuration_line() -> None:
    spec = GuestSpec("web-1", "52:54:00:00:6e:01", "10.110.0.11", gateway="10.110.0.1", peers=("10.110.0.12:7",))
    assert spec.line() == "CONF 10.110.0.11 24 52:54:00:00:6e:01 10.110.0.1 10.110.0.12:7 1.5"
    assert GuestSpec("x", "52:54:00:00:6e:01", "10.110.0.11", 25).line().endswith("11 25 52:54:00:00:6e:01 - - 1.5")


def test_hypervisor_times_are_nanoseconds() -> None:
    message = {"event": "MIGRATION", "timestamp": {"seconds": 5, "microseconds": 7}, "data": {"status": "active"}}
    assert parse_event(message).at_ns == 5_000_007_000
    assert parse_event(message).status == "active"


def test_a_panic_loop_is_told_from_an_idle_guest() -> None:
    assert parse_registers("RIP=ffffffff81e3c3f1 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0") == (
        0xFFFFFFFF81E3C3F1,
        False,
        False,
    )
    assert parse_registers("RIP=ffffffff81000000 RFL=00000246 HLT=1")[1:] == (True, True)
