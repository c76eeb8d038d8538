"""Draining the flow and counter maps so that every frame is handed out exactly once.

The program reads `cur` once per frame and uses that pair of maps. After a swap and one RCU grace period no program
still writes the idle pair: it is complete, sums exactly, and is read and emptied.
"""

from __future__ import annotations

import ctypes
import platform
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bascule.flows.record import RECORD
from bascule_agent.bpf.objects import Objects

_MEMBARRIER = {"x86_64": 324, "aarch64": 283}[platform.machine()]
_MEMBARRIER_GLOBAL = 1
TOTAL = np.dtype([("ifindex", "<u4"), ("direction", "<u2"), ("packets", "<u8"), ("bytes", "<u8")])
OVERFLOW = np.dtype([("ifindex", "<u4"), ("direction", "<u2"), ("cause", "<u2"), ("packets", "<u8"), ("bytes", "<u8")])

_libc = ctypes.CDLL(None, use_errno=True)


class Drained(NamedTuple):
    """What the ports saw between two swaps. Per (ifindex, direction): total = sum of records + sum of overflow.

    `records` RECORD rows, first/last in CLOCK_MONOTONIC ns; `totals` TOTAL rows; `overflow` OVERFLOW rows, frames
    without a record, `cause` the errno of the failed insert (7 E2BIG: the flow map was full).
    """

    records: NDArray[Any]
    totals: NDArray[Any]
    overflow: NDArray[Any]


def quiesce(grace_s: float = 0.02) -> None:
    """Wait until no program still runs that was running when this was called; `grace_s` where the kernel has no way."""
    # membarrier GLOBAL is one synchronize_rcu(), about 10 ms: exact where a sleep only is likely to be enough.
    if _libc.syscall(_MEMBARRIER, _MEMBARRIER_GLOBAL, 0, 0) != 0:
        time.sleep(grace_s)


def _pack(dtype: np.dtype[Any], keys: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    rows = np.zeros(len(keys), dtype)
    for part in (keys, values):
        for name in part.dtype.names or ():
            if name in (dtype.names or ()):
                rows[name] = part[name]
    return rows


def _totals(view: NDArray[Any], keys: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """TOTAL rows of the array, which is emptied, and of the links that are past its end."""
    at = np.flatnonzero(view["packets"])
    rows = np.zeros(len(at) + len(keys), TOTAL)
    rows["ifindex"][: len(at)], rows["direction"][: len(at)] = at // 2, at % 2
    rows[len(at) :] = _pack(TOTAL, keys, values)
    for name in ("packets", "bytes"):
        rows[name][: len(at)] = view[name][at]
    view[at] = 0
    return rows


def swap_and_drain(objects: Objects, grace_s: float = 0.02) -> Drained:
    """Swap the maps, wait until the idle pair is complete, return its contents and empty it. Blocks 10-30 ms.

    `grace_s` is slept only where the kernel refuses membarrier. What an earlier process left in the pair that becomes
    current is kept and comes out one call later. One caller at a time.
    """
    current = int(objects.get("cur", 0))
    objects.put("cur", (0,), (1 - current,))
    quiesce(grace_s)
    keys, values = objects.rows(f"flows{current}", remove=True)
    counter_keys, counters = objects.rows(f"counters{current}", remove=True)
    total = counter_keys["cause"] == 0
    return Drained(
        _pack(RECORD, keys, values),
        _totals(objects.view(f"totals{current}"), counter_keys[total], counters[total]),
        _pack(OVERFLOW, counter_keys[~total], counters[~total]),
    )
