"""The bytes of a recorded file: a header line, then batches, each with its length and a checksum.

A file that was cut off (a full disk, a killed process) is readable up to the cut, and the reader says so.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any, BinaryIO

from bascule.errors import UsageError
from bascule.flows.block import LAYOUT, pack, unpack
from bascule.flows.drops import LinkDrop, LinkDrops
from bascule.flows.ledger import Ledger
from bascule.flows.names import PortId
from bascule.flows.store import Batch
from bascule.flows.surroundings import AddressSet, Gateway, Surroundings, VlanSubnet

MAGIC = b"bascule-flows 1 "
_ENTRY = struct.Struct("<II")
LARGEST = 64 << 20


class RecordingError(UsageError):
    """A file that is no recording, or a broken one."""


def header(around: Surroundings) -> bytes:
    """The first line: layout, and the names of what is no VM."""
    document = {
        "layout": LAYOUT,
        "gateways": [vars(each) for each in around.gateways],
        "subnets": [[s.network, s.vlan, str(s.net)] for s in around.subnets],
        "sets": [[s.name, s.namespace, [str(net) for net in s.nets], dict(s.labels)] for s in around.sets],
    }
    return MAGIC + json.dumps(document).encode() + b"\n"


def entry(batch: Batch) -> bytes:
    """One batch."""
    ledger = batch.ledger
    head = {
        "node": batch.node,
        "time_ns": batch.time_ns,
        "ports": [{**vars(port), "labels": dict(port.labels)} for port in batch.ports],
        "ledger": [ledger.seen, ledger.sent, dict(ledger.lost), ledger.filtered],
        "drops": _drops(batch.drops),
    }
    body = json.dumps(head).encode() + b"\n" + pack(batch.records)
    return _ENTRY.pack(len(body), zlib.crc32(body)) + body


def _drops(drops: LinkDrops | None) -> dict[str, Any] | None:
    return {**vars(drops), "found": [vars(each) for each in drops.found]} if drops else None


def read_header(stream: BinaryIO, name: str) -> Surroundings:
    """The names of a recording. Raises RecordingError; `name` is the file's."""
    line = stream.readline(LARGEST)
    try:
        document = json.loads(line.removeprefix(MAGIC)) if line.startswith(MAGIC) else None
    except ValueError as error:
        raise RecordingError(f"{name}: the first line is broken", cause=str(error)) from None
    if document is None:
        raise RecordingError(f"{name} is no recording", fix="bascule flows record FILE makes one")
    if document.get("layout") != LAYOUT:
        cause = "its records have another layout"
        raise RecordingError(f"{name} was recorded by another version", cause, "read it with that version")
    return Surroundings(
        tuple(Gateway(**each) for each in document["gateways"]),
        tuple(
            AddressSet(name, namespace, tuple(map(IPv4Network, nets)), tuple(sorted(labels.items())))
            for name, namespace, nets, labels in document["sets"]
        ),
        tuple(VlanSubnet(network, vlan, IPv4Network(net)) for network, vlan, net in document["subnets"]),
    )


def read_entries(stream: BinaryIO, name: str) -> Iterator[Batch]:
    """The batches, after `read_header`. Raises RecordingError where the file breaks off."""
    number = 0
    while start := stream.read(_ENTRY.size):
        number += 1
        length, checksum = _ENTRY.unpack(start) if len(start) == _ENTRY.size else (LARGEST + 1, 0)
        body = stream.read(length) if length <= LARGEST else b""
        if len(body) != length or zlib.crc32(body) != checksum:
            raise RecordingError(
                f"{name} breaks off in batch {number}",
                cause="the file was cut, or changed since it was written",
                fix="what stands before it was read",
            )
        yield _batch(body)


def _batch(body: bytes) -> Batch:
    head, _, block = body.partition(b"\n")
    document: dict[str, Any] = json.loads(head)
    ports = tuple(PortId(**{**p, "labels": tuple(sorted(p["labels"].items()))}) for p in document["ports"])
    told = document.get("drops")  # not in recordings of before
    drops = LinkDrops(**{**told, "found": tuple(LinkDrop(**each) for each in told["found"])}) if told else None
    ledger = Ledger(*document["ledger"])
    return Batch(document["node"], document["time_ns"], unpack(block), ports, ledger, drops=drops)
