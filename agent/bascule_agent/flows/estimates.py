"""Estimates beside exact records: what bpf/estimates.h knows of each TCP connection, put into its records.

The kernel's table is read whole by one batch call and joined by key; it forgets what was silent longest, and then a
record says 0, which is "not known". Counts are those of the whole connection so far, not of one drain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.record import EGRESS

CONVERSATION = np.dtype(
    [("ifindex", "<u4"), ("guest_ip", "V4"), ("peer_ip", "V4"), ("guest_port", "V2"), ("peer_port", "V2")]
)
STREAM = np.dtype(
    [("gap_at", "<u8"), *((name, "<u4") for name in ("next", "hole", "again", "reordered", "flags", "known"))]
)
SEEN = np.dtype([("syn_at", "<u8"), ("syn_from", "<u4"), ("rtt_us", "<u4"), ("side", STREAM, (2,))])
TCP = 6


def conversations(records: NDArray[Any]) -> NDArray[Any]:
    """The CONVERSATION key of each TCP record."""
    keys = np.zeros(len(records), CONVERSATION)
    keys["ifindex"] = records["ifindex"]
    out = records["direction"] == EGRESS
    for name, kind in (("ip", "V4"), ("port", "V2")):
        src, dst = (_raw(records[f"{side}_{name}"], kind) for side in ("src", "dst"))
        keys[f"guest_{name}"] = np.where(out, src, dst)
        keys[f"peer_{name}"] = np.where(out, dst, src)
    return keys


def put_estimates(records: NDArray[Any], keys: NDArray[Any], seen: NDArray[Any]) -> None:
    """Fill the estimates of TCP `records` in place from the table's `keys` and `seen`, one row each."""
    tcp = np.flatnonzero((records["proto"] == TCP) & (records["src_port"] != 0))
    if not len(tcp) or not len(keys):
        return
    table, wanted = _whole(keys), _whole(conversations(records[tcp]))
    both, inverse = np.unique(np.concatenate([table, wanted]), return_inverse=True)
    row_of = np.full(len(both), -1, np.intp)
    row_of[inverse[: len(table)]] = np.arange(len(table))
    rows = row_of[inverse[len(table) :]]
    tcp, rows = tcp[rows >= 0], rows[rows >= 0]
    mine = seen["side"][rows, records["direction"][tcp]]
    records["rtt_us"][tcp] = seen["rtt_us"][rows]
    records["retransmits"][tcp], records["reordered"][tcp] = mine["again"], mine["reordered"]
    records["flags"][tcp] = mine["flags"]


def _raw(column: NDArray[Any], kind: str) -> NDArray[Any]:
    return np.ascontiguousarray(column).view(kind).reshape(-1)


def _whole(keys: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(keys).view(np.dtype((np.void, CONVERSATION.itemsize))).reshape(-1)
