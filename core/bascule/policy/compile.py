"""Programs for the NICs of VMs: rows for each direction and the address sets they use, brought up to date change by
change.

Pure: an `Update` says what to write and what may be removed afterwards; the caller writes sets first, then rows, swaps
the NIC over, and only then removes what is stale. A NIC whose policy cannot be used, or does not fit, is in `refused`
with the reason, keeps the program it has, and is tried again with every change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.policy.blocks import Blocks
from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.ids import RuleIds, SetIds
from bascule.policy.layout import ACTIONS, ALLOW, ANY_SET, PASS, ROW, Limits, RuleName
from bascule.policy.model import Identity, PolicySet
from bascule.policy.verdict import DEFAULT_PROFILE, END_OF_TIER, PROFILE
from bascule.resources.policy import EGRESS, INGRESS, Policy
from bascule.resources.policy_sets import Tier

_SLACK = 4096  # sets that nothing uses are swept when there are this many more than needed


@dataclass(frozen=True, slots=True)
class Program:
    """ROW arrays; `sets` are the ids that their rows refer to."""

    ingress: NDArray[Any]
    egress: NDArray[Any]
    sets: frozenset[int]

    @property
    def passes_all(self) -> bool:
        """Is everything allowed by the first row, in both directions: does no policy select the endpoint?"""
        return all(len(rows) == 1 and rows["action"][0] == ALLOW for rows in (self.ingress, self.egress))

    def same(self, other: Program | None) -> bool:
        """Are the rows those of the other program?"""
        return other is not None and all(
            len(one) == len(two) and one.tobytes() == two.tobytes()
            for one, two in ((self.ingress, other.ingress), (self.egress, other.egress))
        )


@dataclass(frozen=True, slots=True)
class Update:
    """What changed. `sets` are PREFIX arrays to be written before `programs`; `stale` ids may go after them."""

    programs: dict[Key, Program] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)
    removed: frozenset[Key] = frozenset()
    sets: dict[int, NDArray[Any]] = field(default_factory=dict)
    stale: frozenset[int] = frozenset()


class Compiler:
    """`programs` and `refused` are what is in force now, by endpoint key. Not thread-safe.

    Two compilers may share their ids, so that what is equal in both has the same rows: each is the other's `beside`.
    """

    def __init__(self, limits: Limits | None = None, rules: RuleIds | None = None, sets: SetIds | None = None) -> None:
        self.limits = limits or Limits()
        self.beside: Compiler | None = None
        self.programs: dict[Key, Program] = {}
        self.refused: dict[Key, str] = {}
        self.rules, self.sets = RuleIds() if rules is None else rules, SetIds() if sets is None else sets
        self.blocks = Blocks(PolicySet(), (), self.rules, self.sets)
        self._uses: Counter[int] = Counter()
        self._held = 0  # prefixes of all sets in use
        self._joined: dict[tuple[frozenset[Identity], tuple[str, ...]], Program] = {}

    @property
    def sets_in_use(self) -> frozenset[int]:
        """The ids that some program refers to."""
        return frozenset(self._uses)

    def load(self, policies: PolicySet, endpoints: Iterable[Endpoint]) -> Update:
        """Replace everything. The update holds only what is another program than before."""
        known = set(self.programs) | set(self.refused)
        self.blocks = Blocks(policies, endpoints, self.rules, self.sets)
        present = {key for key, endpoint in self.blocks.endpoints.items() if endpoint.vm}
        return self._update(present, known - present)

    def put(self, endpoint: Endpoint) -> Update:
        """Add an endpoint or change its labels, addresses or ports."""
        return self._update(self.blocks.put(endpoint), set())

    def drop(self, key: Key) -> Update:
        """Remove an endpoint."""
        return self._update(self.blocks.drop(key), {key})

    def _update(self, dirty: set[Key], gone: set[Key]) -> Update:
        self._joined.clear()
        before = set(self._uses)
        removed = frozenset(key for key in gone if self._forget(key))
        programs: dict[Key, Program] = {}
        refused: dict[Key, str] = {}
        for key in sorted((dirty | set(self.refused)) - gone):
            endpoint = self.blocks.endpoints.get(key)
            if endpoint is None or not endpoint.vm:
                continue
            program = self._program(endpoint)
            reason = program if isinstance(program, str) else self._misfit(program)
            if reason:
                if self.refused.get(key) != reason:
                    refused[key] = reason
                self.refused[key] = reason
            elif isinstance(program, Program):
                self.refused.pop(key, None)
                if not program.same(self.programs.get(key)):
                    self._accept(key, program)
                    programs[key] = program
        return self._with_sets(programs, refused, removed, before)

    def _with_sets(
        self, programs: dict[Key, Program], refused: dict[Key, str], removed: frozenset[Key], before: set[int]
    ) -> Update:
        after = set(self._uses)
        sets = {identity: self.sets.prefixes(identity) for identity in sorted(after - before)}
        stale = frozenset(before - after)
        if len(self.sets) > 2 * len(after) + _SLACK:
            other = self.beside
            kept = set(other._uses) | other.blocks.sets_in_use() if other else set()
            self.sets.retain(after | self.blocks.sets_in_use() | kept)
        return Update(programs, refused, removed, sets, stale)

    def _forget(self, key: Key) -> bool:
        self.refused.pop(key, None)
        program = self.programs.pop(key, None)
        self._release(program)
        return program is not None

    def _accept(self, key: Key, program: Program) -> None:
        for identity in program.sets:
            if not self._uses[identity]:
                self._held += len(self.sets.prefixes(identity))
            self._uses[identity] += 1
        self._release(self.programs.get(key))
        self.programs[key] = program

    def _release(self, program: Program | None) -> None:
        for identity in program.sets if program else ():
            self._uses[identity] -= 1
            if not self._uses[identity]:
                del self._uses[identity]
                self._held -= len(self.sets.prefixes(identity))

    def _misfit(self, program: Program) -> str:
        """Why the maps cannot hold a program; "" when they can."""
        for direction, rows in ((INGRESS, program.ingress), (EGRESS, program.egress)):
            if len(rows) > self.limits.rows:
                return f"{direction} needs {len(rows)} rows; the data plane holds {self.limits.rows}"
        total = self._held + sum(len(self.sets.prefixes(identity)) for identity in program.sets - self._uses.keys())
        if total > self.limits.prefixes:
            return f"the address sets need {total} prefixes; the data plane holds {self.limits.prefixes}"
        return ""

    def _program(self, endpoint: Endpoint) -> Program | str:
        """The endpoint's program, or why there is none."""
        refused = self.blocks.refused(endpoint.key)
        if refused:
            return self._why(refused)
        selected = self.blocks.selected(endpoint.key)
        signature = selected, endpoint.profiles
        if signature not in self._joined:
            ingress, egress = (self._join(endpoint, selected, direction) for direction in (INGRESS, EGRESS))
            columns = [rows[name] for rows in (ingress, egress) for name in ("src_set", "dst_set")]
            sets = frozenset(np.unique(np.concatenate(columns)).tolist()) - {ANY_SET}
            self._joined[signature] = Program(ingress, egress, sets)
        return self._joined[signature]

    def _why(self, refused: frozenset[Identity]) -> str:
        reasons = sorted(
            f"{each.ref}: {each.reason}"
            for each in self.blocks.policies.refused
            if each.policy is not None and each.policy.identity in refused
        )
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return reasons[0] + more

    def _join(self, endpoint: Endpoint, selected: frozenset[Identity], direction: str) -> NDArray[Any]:
        """Rows of all tiers in their order, each ended by its default action, then the profiles' and a last Deny."""
        parts: list[NDArray[Any]] = []
        length = 0
        for tier, policies in self.blocks.ordered(selected, direction):
            rows = self._tier(tier, policies, direction, length)
            parts.append(rows)
            length += len(rows)
        return _joined([*parts, *self._profiles(endpoint, direction)])

    def _tier(self, tier: Tier, policies: list[Policy], direction: str, start: int) -> NDArray[Any]:
        end = RuleName(END_OF_TIER, "", tier.name, tier.name, direction, tier.default_action, -1, policies[-1].ref)
        rows = _joined(
            [*(self.blocks.blocks[policy.identity, direction].rows for policy in policies), self._final(end)]
        )
        rows["next"][rows["action"] == PASS] = min(start + len(rows), 65535)
        return rows

    def _profiles(self, endpoint: Endpoint, direction: str) -> list[NDArray[Any]]:
        parts = []
        for name in endpoint.profiles:
            block = self.blocks.blocks.get(((PROFILE, "", name), direction))
            if block is not None:
                parts.append(block.rows)
            elif name.startswith(DEFAULT_PROFILE):
                return [*parts, self._final(RuleName(PROFILE, "", name, "", direction, "Allow", 0))]
        return [*parts, self._final(RuleName(PROFILE, "", "", "", direction, "Deny", -1))]

    def _final(self, name: RuleName) -> NDArray[Any]:
        """A row that always matches."""
        row = (self.rules.of(name), 0, 0, 0, 65535, 0, 65535, 0, ACTIONS[name.action], 0, 0, 0)
        return np.array([row], ROW)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """A new array of all rows; by bytes, since numpy spends its time on comparing field names otherwise."""
    return np.frombuffer(bytearray(b"".join(part.tobytes() for part in parts)), ROW)
