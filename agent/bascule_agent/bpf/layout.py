"""port.c seen from Python: the dtypes of its maps and events, its states, and the defines it is built with."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import numpy as np

from bascule.flows.reasons import Reason
from bascule.flows.record import KEY, VALUE
from bascule.policy.layout import PREFIX, ROW
from bascule_agent.flows.estimates import CONVERSATION, SEEN

SOURCE = Path(__file__).with_name("port.c")
FLOW_ENTRIES = 65536
NEAR_LINKS = 4096
PORT_ENTRIES = 1024
HAS_STAGED = 0x80000000  # in a program's number (policy.h)
BLOCK_ROWS = 64
BLOCKS = 16
BLOCK_ENTRIES = 32768
PREFIX_ENTRIES = 3 * 65536
CONNTRACK_ENTRIES = 65536
ESTIMATE_ENTRIES = 16384


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
            ("slot", "<u4"),
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
SLOT = np.dtype([("program", "<u4"), ("pad", "<u4"), ("admit_until", "<u8")])
BLOCK_KEY = np.dtype([("program", "<u4"), ("index", "<u2"), ("direction", "u1"), ("staged", "u1")])
BLOCK = np.dtype([("rows", ROW, (BLOCK_ROWS,))])
CT_KEY = np.dtype(
    [
        *(("ifindex", "<u4"), ("local", "u1", (4,)), ("remote", "u1", (4,)), ("local_port", ">u2")),
        *(("remote_port", ">u2"), ("proto", "u1"), ("kind", "u1"), ("pad", "<u2")),
    ]
)
CT = np.dtype(
    [
        *(("seen", "<u8"), ("program", "<u4"), ("rule", "<u4"), ("staged_rule", "<u4"), ("action", "u1")),
        *(("staged_action", "u1"), ("direction", "u1"), ("flags", "u1")),
    ]
)
HIT_KEY = np.dtype([("ifindex", "<u4"), ("rule", "<u4"), ("kind", "<u4")])
LOG_EVENT = np.dtype(
    [
        *(("time", "<u8"), ("ifindex", "<u4"), ("rule", "<u4"), ("src", "u1", (4,)), ("dst", "u1", (4,))),
        *(("src_port", "<u2"), ("dst_port", "<u2"), ("proto", "u1"), ("direction", "u1"), ("pad", "<u2")),
    ]
)
LAYOUT = {
    "ports": (_U4, PORT),
    "ports_near": (_U4, PORT),
    "macs": (np.dtype([("bridge", "<u4"), ("mac", "u1", (6,)), ("vlan", "<u2")]), _U4),
    "trunks": (np.dtype([("ifindex", "<u4"), ("vid", "<u4")]), np.dtype([("stub", "<u4"), ("bridge", "<u4")])),
    "native": (_U4, _U4),
    "stubs": (_U4, np.dtype([("trunk", "<u4"), ("vid", "<u4")])),
    "trunk_drops": (_COUNTER_KEY, _COUNTER),
    "flows0": (KEY, VALUE),
    "flows1": (KEY, VALUE),
    "counters0": (_COUNTER_KEY, _COUNTER),
    "counters1": (_COUNTER_KEY, _COUNTER),
    "totals0": (_U4, _COUNTER),
    "totals1": (_U4, _COUNTER),
    "cur": (_U4, _U4),
    "lost": (_U4, np.dtype("<u8")),
    "slots": (_U4, SLOT),
    "blocks": (BLOCK_KEY, BLOCK),
    "sets": (PREFIX, _U4),
    "hits": (HIT_KEY, _COUNTER),
    "conntrack": (CT_KEY, CT),
    "estimates": (CONVERSATION, SEEN),
}


def defines(flow_entries: int = FLOW_ENTRIES) -> dict[str, int | str]:
    """The -D defines of port.c: every Reason by number, and the sizes of its maps."""
    names = "NEAR_LINKS PORT_ENTRIES CONNTRACK_ENTRIES BLOCK_ROWS BLOCKS BLOCK_ENTRIES PREFIX_ENTRIES ESTIMATE_ENTRIES"
    sizes: dict[str, int | str] = {name: globals()[name] for name in names.split()} | {"FLOW_ENTRIES": flow_entries}
    return {f"R_{reason.name}": int(reason) for reason in Reason} | sizes
