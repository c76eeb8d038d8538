"""What this node's NICs are under: compiled from the cluster's policies, swapped in NIC by NIC, refused with a reason.

A NIC whose policy cannot be used keeps its last good program, also one that an earlier agent wrote. Everything here
blocks and belongs to one thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from bascule.errors import BasculeError
from bascule.policy.compile import Compiler, Program, Update
from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.ids import RuleIds, SetIds
from bascule.policy.layout import Limits
from bascule.policy.model import PolicySet
from bascule_agent.bpf.layout import BLOCK_ROWS, BLOCKS
from bascule_agent.policy.maps import PolicyMaps, Version
from bascule_agent.policy.memory import Memory

LIMITS = Limits(rows=BLOCK_ROWS * BLOCKS, prefixes=65536)


@dataclass
class Nic:
    """One NIC here. `program` is what its slot is under, None when an earlier agent wrote it; `reason` why what the
    cluster wants is not in force."""

    slot: int
    program: Version | None = None
    generation: int = 0
    since: float = 0.0
    reason: str = ""


@dataclass
class Changed:
    """What one change came to: NICs swapped, NICs refused since (with why), NICs that may now be brought up."""

    swapped: list[Key] = field(default_factory=list)
    refused: dict[Key, str] = field(default_factory=dict)
    ready: list[Key] = field(default_factory=list)


class Enforcer:
    """One node's policy. `nics` are those that have a slot."""

    def __init__(self, maps: PolicyMaps, memory: Memory, limits: Limits = LIMITS) -> None:
        self._maps, self._memory = maps, memory
        self.rules = RuleIds(memory.names, maps.last_rule)
        sets = SetIds(1 + max(maps.set_ids, default=0))
        self.enforced, self.staged = Compiler(limits, self.rules, sets), Compiler(limits, self.rules, sets)
        self.enforced.beside, self.staged.beside = self.staged, self.enforced
        self.policies = PolicySet()
        self.nics: dict[Key, Nic] = {}
        self.generation = 0
        self.loaded = False
        self._dirty: set[Key] = set()

    def load(self, policies: PolicySet, endpoints: Iterable[Endpoint]) -> Changed:
        """Everything anew: other policies, sets, tiers, namespaces. Only NICs whose rows differ are swapped."""
        every = list(endpoints)
        self.policies = policies
        first = self.enforced.load(policies, every)
        has_staged = any(policy.staged in ("Set", "Delete") for policy in policies.policies)
        pending = policies.with_staged() if has_staged else PolicySet()
        second = self.staged.load(pending, every if has_staged else ())
        self.loaded = True
        return self._apply([first, second])

    def change(self, put: Iterable[Endpoint], drop: Iterable[Key]) -> Changed:
        """Endpoints that came, changed or went."""
        compilers = (self.enforced, self.staged) if self.staged.programs or self.staged.refused else (self.enforced,)
        updates = [compiler.drop(key) for key in drop for compiler in compilers]
        updates += [compiler.put(endpoint) for endpoint in put for compiler in compilers]
        return self._apply(updates)

    def bind(self, key: Key, slot: int = 0) -> Nic | str:
        """The NIC's slot, with a program in force; or why there is none yet. `slot` is what its port has already."""
        nic = self.nics.get(key)
        if nic is not None:
            return nic
        version = self._wanted(key)
        if version is None and not (slot and self._maps.has_program(slot)):
            return self.enforced.refused.get(key) or "no policy for it has been worked out yet"
        nic = Nic(self._maps.take_slot(slot))
        self.nics[key] = nic
        try:
            if version is not None:
                self._maps.finish([self._install(key, nic, version)], ())
        except BasculeError as error:
            self._maps.release(nic.slot)
            del self.nics[key]
            return f"{error.message}: {error.cause}"
        nic.reason = self.enforced.refused.get(key, "")
        return nic

    def unbind(self, key: Key) -> None:
        """The NIC's port is gone."""
        nic = self.nics.pop(key, None)
        if nic is not None:
            self._maps.release(nic.slot)

    def _wanted(self, key: Key) -> Version | None:
        program = self.enforced.programs.get(key)
        return None if program is None else Version(program, self._pending(key))

    def _pending(self, key: Key) -> Program | None:
        """What staged policies would make of it, where that is something else."""
        program = self.staged.programs.get(key)
        return None if program is None or program.same(self.enforced.programs.get(key)) else program

    def _install(self, key: Key, nic: Nic, version: Version) -> int:
        """Write and swap; the number of the program before."""
        self._memory.keep(self.rules)
        number = self._maps.write(version)
        self.generation += 1
        nic.program, nic.generation, nic.since = version, self.generation, time.time()
        return self._maps.swap(nic.slot, number)

    def _apply(self, updates: list[Update]) -> Changed:
        changed = Changed()
        stale: set[int] = set()
        concerned = set(self._dirty)
        self._dirty = set()
        for update in updates:
            stale |= update.stale
            concerned |= update.programs.keys() | update.removed | update.refused.keys()
        live = self.enforced.sets_in_use | self.staged.sets_in_use
        try:
            self._maps.add_sets({each: self.enforced.sets.prefixes(each) for each in live - self._maps.set_ids})
        except BasculeError as error:
            self._dirty = concerned
            return self._refuse(changed, concerned, f"{error.message}: {error.cause}")
        old = self._swap_all(concerned, changed)
        self._maps.finish(old, () if self._dirty else stale - live)
        return changed

    def _swap_all(self, concerned: Iterable[Key], changed: Changed) -> list[int]:
        """Write all first, then the swaps one after another."""
        written: list[tuple[Key, Nic, Version, int]] = []
        self._memory.keep(self.rules)
        for key in concerned:
            nic, version = self.nics.get(key), self._wanted(key)
            reason = self.enforced.refused.get(key, "")
            if nic is None:
                if version is not None:
                    changed.ready.append(key)
            elif version is not None and not _same(version, nic.program):
                try:
                    written.append((key, nic, version, self._maps.write(version)))
                except BasculeError as error:
                    reason = f"{error.message}: {error.cause}"
                    self._dirty.add(key)
            if reason and (nic is None or nic.reason != reason):
                changed.refused[key] = reason
            if nic is not None:
                nic.reason = reason
        if written:
            self.generation += 1
        old = []
        for key, nic, version, number in written:
            nic.program, nic.generation, nic.since = version, self.generation, time.time()
            old.append(self._maps.swap(nic.slot, number))
            changed.swapped.append(key)
        return old

    def _refuse(self, changed: Changed, keys: Iterable[Key], reason: str) -> Changed:
        for key in keys:
            nic = self.nics.get(key)
            if nic is not None and nic.reason != reason:
                nic.reason = changed.refused[key] = reason
        return changed


def _same(version: Version, before: Version | None) -> bool:
    if before is None or not version.enforced.same(before.enforced):
        return False
    if version.staged is None or before.staged is None:
        return version.staged is before.staged
    return version.staged.same(before.staged)
