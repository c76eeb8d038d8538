"""The kernel's side of policy: programs of rows, address sets, and the slot that says which program a NIC is under.

Programs and sets are written before a slot names them and removed a grace period after no slot does, under numbers that
are never given again; a swap is one aligned store into the slots' own memory. So a packet is judged by one version.
What an earlier agent left is read back: its programs stay in force until others take their place. Blocking.
"""

from __future__ import annotations

import mmap
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bascule.flows.record import EGRESS, INGRESS
from bascule.policy.compile import Program
from bascule.policy.layout import PREFIX
from bascule_agent.bpf import raw
from bascule_agent.bpf.errors import BpfError
from bascule_agent.bpf.flows_map import quiesce
from bascule_agent.bpf.layout import BLOCK, BLOCK_KEY, BLOCK_ROWS, HAS_STAGED, PORT_ENTRIES, SLOT
from bascule_agent.bpf.objects import Objects


class Version(NamedTuple):
    """What a NIC is to be under: the program in force, and what staged policies would make of it (None: nothing)."""

    enforced: Program
    staged: Program | None = None


class PolicyMaps:
    """One node's policy maps. Numbers of programs are its own business: callers name slots."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._memory = mmap.mmap(objects.maps["slots"], PORT_ENTRIES * SLOT.itemsize)
        self._slots = np.frombuffer(self._memory, SLOT)
        self._blocks: dict[int, list[bytes]] = defaultdict(list)
        self._inherited: dict[int, frozenset[int]] = {}
        self._sets: dict[int, NDArray[Any]] = {}
        self.last_rule = 0
        self._read_blocks()
        self._read_sets()
        used = set(objects.rows("ports")[1]["slot"].tolist())
        for slot in np.flatnonzero(self._slots["program"]):
            if int(slot) not in used:
                self._slots["program"][slot] = 0
        self._used = used - {0}
        self._next = 1 + max((number & ~HAS_STAGED for number in self._blocks), default=0)
        self._sweep()

    def close(self) -> None:
        """Give the slots' memory back; everything stays in force."""
        del self._slots
        self._memory.close()

    def _read_blocks(self) -> None:
        sets: dict[int, set[int]] = defaultdict(set)
        for key, value in raw.entries(self._objects.maps["blocks"], BLOCK_KEY.itemsize, BLOCK.itemsize):
            number = int(np.frombuffer(key, BLOCK_KEY)[0]["program"])
            rows = np.frombuffer(value, BLOCK)[0]["rows"]
            self._blocks[number].append(key)
            sets[number].update(rows["src_set"].tolist(), rows["dst_set"].tolist())
            self.last_rule = max(self.last_rule, int(rows["rule"].max()))
        self._inherited = {number: frozenset(found) - {0} for number, found in sets.items()}

    def _read_sets(self) -> None:
        keys = b"".join(key for key, _ in raw.entries(self._objects.maps["sets"], PREFIX.itemsize, 4))
        rows = np.frombuffer(keys, PREFIX)
        for identity in np.unique(rows["set"]).tolist():
            self._sets[identity] = rows[rows["set"] == identity]

    def _sweep(self) -> None:
        """Remove what an agent that was killed between two steps left: programs without a slot, sets without one."""
        live = set(self._slots["program"].tolist())
        self._remove(set(self._blocks) - live, ())
        needed = set().union(*self._inherited.values()) if self._inherited else set()
        self._remove((), set(self._sets) - needed)

    @property
    def set_ids(self) -> frozenset[int]:
        """Ids of sets that are written: others' contents must not get one of these."""
        return frozenset(self._sets)

    def take_slot(self, wanted: int = 0) -> int:
        """A slot for a port, `wanted` when the port has one already. BpfError when all are taken."""
        if wanted:
            self._used.add(wanted)
            return wanted
        free = next((slot for slot in range(1, PORT_ENTRIES) if slot not in self._used), 0)
        if not free:
            raise BpfError("no slot for another port's policy", cause=f"{PORT_ENTRIES - 1} ports have one")
        self._used.add(free)
        return free

    def has_program(self, slot: int) -> bool:
        """Is a program in force there?"""
        return bool(self._slots["program"][slot])

    def release(self, slot: int) -> None:
        """The slot's port is gone."""
        number = int(self._slots["program"][slot])
        self._slots[slot] = (0, 0, 0)
        self._used.discard(slot)
        if number:
            self.finish([number], ())

    def add_sets(self, sets: Mapping[int, NDArray[Any]]) -> None:
        """Write address sets under ids that no program names yet (BpfError when they do not fit)."""
        fresh = {identity: keys for identity, keys in sets.items() if identity not in self._sets}
        if not fresh:
            return
        keys = np.concatenate(list(fresh.values()))
        try:
            raw.update_batch(self._objects.maps["sets"], keys, np.ones(len(keys), "<u4"))
        except OSError as error:
            self._delete_sets(keys)
            raise BpfError(f"{len(keys)} prefixes of address sets cannot be written", cause=str(error)) from None
        self._sets.update(fresh)

    def write(self, version: Version) -> int:
        """Write a program; its number, for `swap`. BpfError when it does not fit."""
        number = self._next | (HAS_STAGED if version.staged else 0)
        self._next += 1
        blocks = list(_blocks(number, version))
        keys = np.array([key for key, _ in blocks], BLOCK_KEY)
        values = np.zeros(len(blocks), BLOCK)
        for at, (_, rows) in enumerate(blocks):
            values["rows"][at, : len(rows)] = rows
        self._blocks[number] = [key.tobytes() for key in keys]
        try:
            raw.update_batch(self._objects.maps["blocks"], keys, values)
        except OSError as error:
            self._remove([number], ())
            raise BpfError(f"a program of {len(blocks)} blocks cannot be written", cause=str(error)) from None
        return number

    def swap(self, slot: int, number: int) -> int:
        """Put a written program in force: one store. The number of the one before, 0 for none, for `finish`."""
        before = int(self._slots["program"][slot])
        self._slots["program"][slot] = number
        return before

    def finish(self, programs: Iterable[int], sets: Iterable[int]) -> None:
        """Remove programs that no slot names any more and sets that no program does, after a grace period (10 ms)."""
        gone = [number for number in programs if number]
        stale = set(sets)
        if not gone and not stale:
            return
        quiesce()
        self._remove(gone, stale)

    def admit(self, slot: int, until_ns: int) -> None:
        """Let mid-stream TCP pass at a slot until then (CLOCK_MONOTONIC); 0 ends it."""
        self._slots["admit_until"][slot] = until_ns

    def _remove(self, programs: Iterable[int], sets: Iterable[int]) -> None:
        inherited: set[int] = set()
        for number in programs:
            for key in self._blocks.pop(number, ()):
                raw.delete(self._objects.maps["blocks"], key)
            inherited |= self._inherited.pop(number, frozenset())
        stale = set(sets) | inherited.difference(*self._inherited.values())
        arrays = [self._sets.pop(identity) for identity in stale if identity in self._sets]
        if arrays:
            self._delete_sets(np.concatenate(arrays))

    def _delete_sets(self, keys: NDArray[Any]) -> None:
        for key in keys:
            raw.delete(self._objects.maps["sets"], key.tobytes())


def _blocks(number: int, version: Version) -> Iterable[tuple[tuple[int, int, int, int], NDArray[Any]]]:
    for staged, program in enumerate(version):
        if program is None:
            continue
        for direction, rows in ((INGRESS, program.ingress), (EGRESS, program.egress)):
            for at in range(0, len(rows), BLOCK_ROWS):
                yield (number, at // BLOCK_ROWS, direction, staged), rows[at : at + BLOCK_ROWS]
