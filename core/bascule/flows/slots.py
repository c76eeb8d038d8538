"""The records of a store by slot, and where each flow is: (node, the record's key) → slot.

Kept in numpy: a dictionary of 100,000 keys took 23 MB, this takes 3. Keys are found by a 64-bit hash and compared
whole, so two keys with one hash are two flows all the same. A flow's identity is its number in the order of arrival
with its slot in the low bits; it is never given to another flow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.fold import KEY_BYTES, SUMS, keys_of
from bascule.flows.record import RECORD

SLOT_BITS = 24
_WORDS = KEY_BYTES // 8
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def slots_of(identities: NDArray[np.int64]) -> NDArray[np.int64]:
    """The slots that identities were given for."""
    return identities & (1 << SLOT_BITS) - 1


def words_of(records: NDArray[Any]) -> NDArray[np.uint64]:
    """(n, 5): the records' keys as numbers."""
    return keys_of(records).view("<u8").reshape(len(records), _WORDS)


def hashes(words: NDArray[np.uint64], node: int) -> NDArray[np.uint64]:
    """(n,) hashes of keys seen on the node of that number."""
    found = np.full(len(words), node + 1, np.uint64)
    for n in range(_WORDS):
        found = (found ^ words[:, n]) * _MIX
        found ^= found >> _SHIFT
    return found


class Slots:
    """Flows in slots. Not thread-safe. `records` are RECORD-typed; the owner keeps what else belongs to a slot."""

    def __init__(self) -> None:
        self.size = 0  # slots that were ever used
        self.records = np.zeros(0, RECORD)
        self._node_numbers: dict[str, int] = {}
        self._nodes: list[str] = []
        self._free: list[int] = []
        self.came = self.left = 0  # flows, ever
        self._node = np.zeros(0, np.int32)
        self._arrival = np.zeros(0, np.int64)  # by slot, from 1 on; 0: nothing is in it
        self._hashes = np.zeros(0, np.uint64)  # in order, with the slot of each beside it
        self._where = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._where)

    def node(self, slot: int) -> str:
        """The node of the flow in a slot."""
        return self._nodes[int(self._node[slot])]

    def live(self, node: str | None = None) -> NDArray[np.int64]:
        """The slots that hold a flow, of one node or of all, in order of arrival."""
        held = np.flatnonzero(self._arrival)
        if node is not None:
            held = held[self._node[held] == self._node_numbers.get(node, -1)]
        return held[np.argsort(self._arrival[held])]

    def nodes(self) -> list[str]:
        """Every node that ever had a flow, by name."""
        return sorted(self._node_numbers)

    def identities(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The identities of the flows in these slots."""
        found: NDArray[np.int64] = self._arrival[slots] << SLOT_BITS | slots
        return found

    def came_after(self, came: int) -> NDArray[np.int64]:
        """The slots of the flows that came when `came` had come before, in order of arrival."""
        found = np.flatnonzero(self._arrival > came)
        return found[np.argsort(self._arrival[found])]

    def slot(self, identity: int) -> int | None:
        """Where the flow of that identity is; None when it left."""
        slot = identity & (1 << SLOT_BITS) - 1
        return slot if slot < self.size and self._arrival[slot] == identity >> SLOT_BITS > 0 else None

    def arrived(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers that grow in order of arrival."""
        return self._arrival[slots]

    def take(self, node: str, records: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The slot of each of `records`, one per key, and which of them are new: those have got a slot now, where their
        record stands with nothing counted yet."""
        number = self._node_numbers.setdefault(node, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
        records = np.asarray(records, RECORD)  # in its byte order: keys are compared as they stand
        words = words_of(records)
        hashed = hashes(words, number)
        slots = self._find(words, hashed, number)
        new = slots < 0
        if new.any():
            slots[new] = self._settle(records[new], hashed[new], number)
        return slots, new

    def drop(self, slots: NDArray[np.int64]) -> None:
        """These flows leave; the last of them is the first slot that is used again."""
        self.left += len(slots)
        self._arrival[slots] = 0
        self._free += slots.tolist()
        stays = self._arrival[self._where] > 0
        self._hashes, self._where = self._hashes[stays], self._where[stays]

    def _find(self, words: NDArray[np.uint64], hashed: NDArray[np.uint64], node: int) -> NDArray[np.int64]:
        slots = np.full(len(words), -1, np.int64)
        at = np.searchsorted(self._hashes, hashed)
        open_ = np.arange(len(words))
        while True:  # once more for each hash that several flows share
            open_ = open_[at[open_] < len(self._hashes)]
            open_ = open_[self._hashes[at[open_]] == hashed[open_]]
            if not len(open_):
                return slots
            there = self._where[at[open_]]
            same = (words_of(self.records[there]) == words[open_]).all(axis=1) & (self._node[there] == node)
            slots[open_[same]] = there[same]
            open_ = open_[~same]
            at[open_] += 1

    def _settle(self, records: NDArray[Any], hashed: NDArray[np.uint64], node: int) -> NDArray[np.int64]:
        """Slots for flows that have none."""
        again = min(len(records), len(self._free))
        used = [self._free.pop() for _ in range(again)]
        fresh = np.arange(self.size, self.size + len(records) - again)
        slots = np.concatenate([np.array(used, np.int64), fresh])
        self.size += len(fresh)
        self.records, self._node = grown(self.records, self.size), grown(self._node, self.size)
        self._arrival = grown(self._arrival, self.size)
        self.records[slots], self._node[slots] = records, node
        for name in SUMS:
            self.records[name][slots] = 0
        self._arrival[slots] = np.arange(self.came + 1, self.came + 1 + len(slots))
        self.came += len(slots)
        order = np.argsort(hashed, kind="stable")
        at = np.searchsorted(self._hashes, hashed[order])
        self._hashes = np.insert(self._hashes, at, hashed[order])
        self._where = np.insert(self._where, at, slots[order])
        return slots


def grown(one: NDArray[Any], size: int, axis: int = 0) -> NDArray[Any]:
    """The array with room for `size` along an axis; what is new is zero, and takes no memory before it is written."""
    held = one.shape[axis]
    if size <= held:
        return one
    shape = list(one.shape)
    # A quarter more than needed, unless it is the first: growing copies.
    shape[axis] = size + size // 4 if held else max(size, 256)
    made = np.zeros(shape, one.dtype)
    made[(slice(None),) * axis + (slice(held),)] = one
    return made
