"""Flow records as conversations: the two directions, seen at one or two ports, joined, and told who began.

Policy judges a connection's first packet, and a record does not say whether it was one. The end with an ephemeral port
(32768 and up) that talks to one below began; where ports do not tell, the direction that the same port saw first did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.record import DROP, EGRESS, INGRESS, RECORD
from bascule.flows.rows import ETH_IPV4

EPHEMERAL = 32768
_NEVER = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Conversations:
    """`flows` are RECORDs from who began to whom, packets and bytes of both directions; `skipped` counts the records
    that policy never sees: other than IPv4, or dropped at the port."""

    flows: NDArray[Any]
    skipped: int


def conversations(records: NDArray[Any]) -> Conversations:
    """Join RECORD-typed records, drain after drain. What both ends saw counts once, by the larger of the two counts."""
    kept = records[(records["ethertype"] == ETH_IPV4) & (records["verdict"] != DROP)]
    skipped = len(records) - len(kept)
    if not len(kept):
        return Conversations(np.zeros(0, RECORD), skipped)
    one, two = _end(kept, "src"), _end(kept, "dst")
    low, high, proto = np.minimum(one, two), np.maximum(one, two), kept["proto"].astype(np.uint64)
    group, first_of = _groups(low, high, proto)
    upward = one <= two
    began_low = _began_low(kept, group, len(first_of), upward, low[first_of], high[first_of])
    flows = kept[first_of].copy()
    turn = upward[first_of] != began_low
    for a, b in (("src_ip", "dst_ip"), ("src_port", "dst_port"), ("src_mac", "dst_mac")):
        flows[a][turn], flows[b][turn] = kept[b][first_of][turn], kept[a][first_of][turn]
    for name in ("packets", "bytes"):
        flows[name] = sum(_most(kept, name, group, len(first_of), each) for each in (upward, ~upward))
    return Conversations(flows, skipped)


def _end(records: NDArray[Any], side: str) -> NDArray[np.uint64]:
    address = np.ascontiguousarray(records[f"{side}_ip"]).view(">u4").reshape(-1).astype(np.uint64)
    return np.asarray((address << np.uint64(16)) | records[f"{side}_port"].astype(np.uint64))


def _groups(*keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(group of each record, one record of each group)."""
    order = np.lexsort(keys)
    fresh = np.zeros(len(order), bool)
    fresh[0] = True
    for key in keys:
        fresh[1:] |= key[order][1:] != key[order][:-1]
    group = np.empty(len(order), np.int64)
    group[order] = fresh.cumsum() - 1
    return group, order[fresh]


def _began_low(
    records: NDArray[Any],
    group: NDArray[np.int64],
    count: int,
    upward: NDArray[np.bool_],
    low: NDArray[np.uint64],
    high: NDArray[np.uint64],
) -> NDArray[np.bool_]:
    """Did the lower end of each conversation begin it?"""
    low_port, high_port = low & np.uint64(0xFFFF), high & np.uint64(0xFFFF)
    low_client = (low_port >= EPHEMERAL) & (high_port < EPHEMERAL) & (high_port > 0)
    high_client = (high_port >= EPHEMERAL) & (low_port < EPHEMERAL) & (low_port > 0)
    # A time is only compared with times of the same port: two nodes' clocks differ by more than a round trip.
    at_low = upward == (records["direction"] == EGRESS)
    by_time = np.zeros(count, bool)
    decided = np.zeros(count, bool)
    for here in (at_low, ~at_low):
        up, down = (_earliest(records["first"], group, count, here & way) for way in (upward, ~upward))
        clear = (up != _NEVER) & (down != _NEVER) & ~decided
        by_time[clear] = up[clear] <= down[clear]
        decided |= clear
    one_way = np.zeros(count, bool)
    one_way[group[upward]] = True
    by_time[~decided] = one_way[~decided]
    return np.asarray(low_client | (~high_client & by_time))


def _earliest(
    times: NDArray[np.uint64], group: NDArray[np.int64], count: int, which: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    found = np.full(count, _NEVER)
    np.minimum.at(found, group[which], times[which])
    return found


def _most(
    records: NDArray[Any], name: str, group: NDArray[np.int64], count: int, which: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    """One way's frames as the end counted them that saw more: the drains of each end added up."""
    found = np.zeros(count, np.uint64)
    for end in (EGRESS, INGRESS):
        seen, here = np.zeros(count, np.uint64), which & (records["direction"] == end)
        np.add.at(seen, group[here], records[name][here])
        found = np.maximum(found, seen)
    return found
