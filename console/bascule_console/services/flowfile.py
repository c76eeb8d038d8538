"""Files of flows: our own recordings, and captures (pcapng and pcap, read by dpkt).

A recording holds what the agents sent, names included. A capture holds frames only: they become the records a port
would have made, without port and verdict, in half-second batches by the capture's own clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from bascule.errors import RefusedError, UsageError
from bascule.flows.frames import records_of
from bascule.flows.ledger import Ledger
from bascule.flows.recording import MAGIC, RecordingError, entry, header, read_entries, read_header
from bascule.flows.store import Batch
from bascule.flows.surroundings import Surroundings

CAPTURES = (b"\x0a\x0d\x0d\x0a", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
ETHERNET = 1
DRAIN_NS = 500_000_000
UNREADABLE = "unreadable"


@dataclass
class FlowFile:
    """A file that is open for one pass. `problem` says, after the pass, where it broke off."""

    path: Path
    around: Surroundings = field(default_factory=Surroundings)
    problem: str = ""
    _stream: BinaryIO | None = None
    _capture: bool = False

    def batches(self) -> Iterator[Batch]:
        """Every batch up to the end, or to where the file breaks off."""
        assert self._stream is not None
        with self._stream as stream:
            found = _captured(stream, self.path) if self._capture else read_entries(stream, str(self.path))
            try:
                yield from found
            except RecordingError as error:
                self.problem = f"{error.message}: {error.cause}"


def read_file(path: Path) -> FlowFile:
    """Open a recording or a capture. Raises UsageError."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}", cause=error.strerror or str(error)) from None
    start = stream.peek(len(MAGIC))
    if start[:4] in CAPTURES:
        return FlowFile(path, _stream=stream, _capture=True)
    try:
        return FlowFile(path, read_header(stream, str(path)), _stream=stream)
    except RecordingError:
        stream.close()
        raise


class FlowWriter:
    """A recording being written; a sink of streams (services/streams.py)."""

    def __init__(self, path: Path, around: Surroundings) -> None:
        try:
            self._file = path.open("xb")
        except FileExistsError:
            raise RefusedError(f"{path} exists", fix="name another file, or remove it") from None
        except OSError as error:
            raise UsageError(f"cannot write {path}", cause=error.strerror or str(error)) from None
        self._file.write(header(around))
        self.batches = 0
        self.flows = 0

    def add_flows(self, batch: Batch) -> None:
        """One batch, on disk when this returns to the loop."""
        self._file.write(entry(batch))
        self._file.flush()
        self.batches += 1
        self.flows += len(batch.records)

    def close(self) -> None:
        """The file is complete."""
        self._file.close()


def _captured(stream: BinaryIO, path: Path) -> Iterator[Batch]:
    import dpkt  # type: ignore[import-untyped]

    try:
        reader = dpkt.pcap.UniversalReader(stream)
        kind = reader.datalink()
    except (ValueError, dpkt.UnpackError) as error:
        raise UsageError(f"{path} is a capture that cannot be read", cause=str(error)) from None
    if kind != ETHERNET:
        raise UsageError(
            f"{path} holds no Ethernet frames", f"its link type is {kind}", "capture on an interface, not on 'any'"
        )
    seen, sent, lost = 0, 0, 0
    for number, frames in groupby(_frames(reader, path), key=lambda frame: frame[0] // DRAIN_NS):
        taken = [*frames]
        records, none = records_of(taken)
        seen, sent, lost = seen + len(taken), sent + len(taken) - none, lost + none
        ledger = Ledger(seen, sent, {UNREADABLE: lost} if lost else {})
        yield Batch(path.stem, (number + 1) * DRAIN_NS, records, (), ledger)


def _frames(reader: Iterable[Any], path: Path) -> Iterator[tuple[int, int, bytes]]:
    import dpkt

    number = 0
    try:
        for at, frame in reader:
            number += 1
            yield int(at * 1_000_000) * 1000, len(frame), bytes(frame)
    except (ValueError, dpkt.UnpackError) as error:
        cause = str(error) or "the file was cut"
        raise RecordingError(f"{path} breaks off after frame {number}", cause) from None
