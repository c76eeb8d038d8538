"""Ethernet frames as flow records: how a capture becomes what a port would have counted.

A capture has no port and no verdict, so both are unknown; the VLAN is that of the outer tag, 0 without one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.fold import fold
from bascule.flows.record import RECORD

TAGS = (0x8100, 0x88A8)
UNKNOWN_DIRECTION = 2
_ETHERNET = 14


def record_of(frame: bytes, size: int, time_ns: int) -> bytes | None:
    """The record of one frame, its bytes; None for one that is no Ethernet frame. `size` is its length on the wire."""
    if len(frame) < _ETHERNET:
        return None
    ethertype, at, vlan = int.from_bytes(frame[12:14], "big"), _ETHERNET, 0
    while ethertype in TAGS and len(frame) >= at + 4:
        vlan = vlan or int.from_bytes(frame[at : at + 2], "big") & 0xFFF
        ethertype, at = int.from_bytes(frame[at + 2 : at + 4], "big"), at + 4
    proto, addresses, ports, flags = 0, bytes(8), bytes(4), 0
    if ethertype in (0x0806, 0x8035) and len(frame) >= at + 28:
        addresses = frame[at + 14 : at + 18] + frame[at + 24 : at + 28]
    elif ethertype == 0x0800 and len(frame) >= at + 20:
        proto, addresses = frame[at + 9], frame[at + 12 : at + 20]
        ports, flags = _transport(frame, at, proto)
    return b"".join(
        (
            struct.pack("<I4B", 0, UNKNOWN_DIRECTION, 0, 0, proto),
            frame[6:12] + frame[0:6],
            struct.pack(">H", ethertype) + struct.pack("<H", vlan),
            addresses + ports,
            struct.pack("<I4Q4I", 0, 1, size, time_ns, time_ns, 0, 0, 0, flags),
        )
    )


def _transport(frame: bytes, at: int, proto: int) -> tuple[bytes, int]:
    """TCP's and UDP's ports and TCP's flags; nothing of a later fragment or a header that is none."""
    header = (frame[at] & 15) * 4
    later = int.from_bytes(frame[at + 6 : at + 8], "big") & 0x1FFF
    start = at + header
    if frame[at] >> 4 != 4 or header < 20 or later or proto not in (6, 17) or len(frame) < start + 4:
        return bytes(4), 0
    flags = frame[start + 13] if proto == 6 and len(frame) > start + 13 else 0
    return frame[start : start + 4], flags


def records_of(frames: Iterable[tuple[int, int, bytes]]) -> tuple[NDArray[Any], int]:
    """Records of (time_ns, size, frame), one per flow, and how many frames were none."""
    made = [record_of(frame, size, time_ns) for time_ns, size, frame in frames]
    good = [each for each in made if each is not None]
    return fold(np.frombuffer(b"".join(good), RECORD)), len(made) - len(good)
