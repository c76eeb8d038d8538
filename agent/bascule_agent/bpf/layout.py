"""port.c seen from Python: the dtypes of its maps and events, its states, and the defines it is built with."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import numpy as np

from bascule.flows.reasons import Reason
from bascule.flows.record import KEY, VALUE

SOURCE = Path(__file__).with_name("port.c")
FLOW_ENTRIES = 16384
PORT_ENTRIES = 1024


class PortState(IntEnum):
    """What a port lets through; the program itself goes HELD → LIVE, LIVE → MOVED and MOVED → LIVE."""

    LIVE = 0
    HELD = 1
    MOVED = 2
    BLOCKED = 3


class EventKind(IntEnum):
    """What the program tells through the ring.

    OPENED: the first good frame of a held port. MOVED: the MAC of a live port came in from the trunk. RETURNED: the
    guest of a moved port sent again, so it runs here after all.
    """

    OPENED = 1
    MOVED = 2
    RETURNED = 3


_U4 = np.dtype("<u4")
_COUNTER_KEY = np.dtype([("ifindex", "<u4"), ("direction", "<u2"), ("cause", "<u2")])
_COUNTER = np.dtype([("packets", "<u8"), ("bytes", "<u8")])
PORT = np.dtype(
    [
        *(
            ("mac", "u1", (6,)),
            ("vlan", "<u2"),
            ("ip", "u1", (4,)),
            ("state", "<u4"),
            ("bridge", "<u4"),
            ("pad", "<u4"),
        ),
        *(("opened", "<u8"), ("moved", "<u8")),
    ]
)
EVENT = np.dtype(
    [
        *(("time", "<u8"), ("ifindex", "<u4"), ("kind", "<u4"), ("mac", "u1", (6,))),
        *(("ethertype", ">u2"), ("vlan", "<u2"), ("pad", "<u2"), ("seen_at", "<u4")),
    ]
)
LAYOUT = {
    "ports": (_U4, PORT),
    "macs": (np.dtype([("bridge", "<u4"), ("mac", "u1", (6,)), ("vlan", "<u2")]), _U4),
    "trunks": (np.dtype([("ifindex", "<u4"), ("vid", "<u4")]), np.dtype([("stub", "<u4"), ("bridge", "<u4")])),
    "native": (_U4, _U4),
    "stubs": (_U4, np.dtype([("trunk", "<u4"), ("vid", "<u4")])),
    "trunk_drops": (_COUNTER_KEY, _COUNTER),
    "flows0": (KEY, VALUE),
    "flows1": (KEY, VALUE),
    "counters0": (_COUNTER_KEY, _COUNTER),
    "counters1": (_COUNTER_KEY, _COUNTER),
    "cur": (_U4, _U4),
    "lost": (_U4, np.dtype("<u8")),
}


def defines(flow_entries: int = FLOW_ENTRIES) -> dict[str, int | str]:
    """The -D defines of port.c: every Reason by number, and the sizes of its maps."""
    sizes: dict[str, int | str] = {"FLOW_ENTRIES": flow_entries, "PORT_ENTRIES": PORT_ENTRIES}
    return {f"R_{reason.name}": int(reason) for reason in Reason} | sizes
