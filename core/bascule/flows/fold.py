"""Records of one key joined into one: packets and bytes add up, `first` is the earliest, `last` the latest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.record import KEY, RECORD

KEY_BYTES = KEY.itemsize
SUMS = ("packets", "bytes")
SO_FAR = ("retransmits", "reordered")  # of the whole connection up to then: the highest is the latest


def keys_of(records: NDArray[Any]) -> NDArray[Any]:
    """(n,) of the records' keys as raw bytes, to compare whole."""
    rows = np.ascontiguousarray(records).view(np.uint8).reshape(len(records), RECORD.itemsize)[:, :KEY_BYTES]
    return np.ascontiguousarray(rows).view(np.dtype((np.void, KEY_BYTES))).ravel()


def fold(records: NDArray[Any]) -> NDArray[Any]:
    """One record per key; the same array when no key comes twice."""
    return fold_groups(records)[0]


def fold_groups(records: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """`fold`, and for each of `records` which of the folded ones it went into."""
    _, first, inverse = np.unique(keys_of(records), return_index=True, return_inverse=True)
    if len(first) == len(records):
        return records, np.arange(len(records))
    folded = records[first].copy()
    for name in SUMS:
        folded[name] = 0
        np.add.at(folded[name], inverse, records[name])
    np.minimum.at(folded["first"], inverse, records["first"])
    np.maximum.at(folded["last"], inverse, records["last"])
    for name in ("rtt_us", *SO_FAR):
        np.maximum.at(folded[name], inverse, records[name])
    np.bitwise_or.at(folded["flags"], inverse, records["flags"])
    return folded, inverse


def merge_into(mine: NDArray[Any], slots: NDArray[np.int64], records: NDArray[Any]) -> None:
    """Add `records` (one per key) to `mine` at `slots`; the newest known round-trip time stays."""
    for name in SUMS:
        mine[name][slots] += records[name]
    mine["first"][slots] = np.minimum(mine["first"][slots], records["first"])
    mine["last"][slots] = np.maximum(mine["last"][slots], records["last"])
    for name in SO_FAR:
        mine[name][slots] = np.maximum(mine[name][slots], records[name])
    mine["rtt_us"][slots] = np.where(records["rtt_us"] > 0, records["rtt_us"], mine["rtt_us"][slots])
    mine["flags"][slots] |= records["flags"]
