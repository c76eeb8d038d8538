"""Rule rows as bits: for each class of addresses, ports and protocols, which rows it satisfies.

Addresses between two bounds of any rule's set behave alike, so a flow's address is looked up once among the bounds and
from then on stands for a row of ready-made bit vectors. Ports likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bascule.policy.blocks import Blocks
from bascule.policy.endpoints import Endpoint
from bascule.policy.ids import RuleIds, SetIds
from bascule.policy.layout import ACTIONS, ANY_SET, LOG, NOT_PROTO, ROW, RuleName
from bascule.policy.model import Identity
from bascule.policy.verdict import DEFAULT_PROFILE, END_OF_TIER, PROFILE
from bascule.resources.policy_read import ICMP

MAYBE = 5
"""The action of a row that asks for an ICMP type: a flow record does not have it."""
Bits = NDArray[np.uint64]


class Columns(Protocol):
    """The columns that `Tables.classes` looks up; addresses as their classes."""

    @property
    def source(self) -> NDArray[np.int64]: ...
    @property
    def destination(self) -> NDArray[np.int64]: ...
    @property
    def proto(self) -> NDArray[np.int64]: ...
    @property
    def source_port(self) -> NDArray[np.int64]: ...
    @property
    def destination_port(self) -> NDArray[np.int64]: ...


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier's rows as bits. The tables are [class, word]; `applies` is [endpoint, word]; `selected` and the ends are
    by endpoint; `action` and `rule` by row."""

    applies: Bits
    tables: tuple[Bits, ...]
    action: NDArray[np.uint8]
    rule: NDArray[np.uint32]
    selected: NDArray[np.bool_]
    end_action: NDArray[np.uint8]
    end_rule: NDArray[np.uint32]

    def match(self, owner: NDArray[np.int64], classes: tuple[NDArray[np.int64], ...], here: NDArray[np.int64]) -> Bits:
        """The rows that match each flow: [flow, word]."""
        words = self.applies[owner]
        for table, column in zip(self.tables, classes, strict=True):
            if len(table) > 1:
                words &= table[column[here]]
            else:
                words &= table
        return words


class Tables:
    """One direction's tiers as bits, the profiles as the last of them."""

    def __init__(self, blocks: Blocks, endpoints: list[Endpoint], direction: str, rules: RuleIds, sets: SetIds) -> None:
        self._blocks, self._endpoints, self._direction, self._rules = blocks, endpoints, direction, rules
        self._selected = [blocks.selected(endpoint.key) for endpoint in endpoints]
        self._groups = [*self._policies(), self._profiles()]
        rows = np.concatenate([group.rows for group in self._groups])
        self.edges = _edges(rows, sets)
        self._port_bounds = tuple(_port_bounds(rows, side) for side in ("src", "dst"))
        every = np.arange(65536)
        self._port_classes = tuple(np.searchsorted(bounds, every, side="right") for bounds in self._port_bounds)
        self._sets = sets
        self._bounds = np.zeros(0, np.uint32)
        self.tiers: list[Tier] = []

    def build(self, bounds: NDArray[np.uint32]) -> None:
        """Make the tables. Address class c lies between bounds c - 1 and c; all `edges` must be among the bounds."""
        self._bounds = bounds
        self.tiers = [self._tier(group) for group in self._groups]

    def classes(self, flows: Columns) -> tuple[NDArray[np.int64], ...]:
        """The class of each flow's source, destination, protocol, source port and destination port."""
        return (
            flows.source,
            flows.destination,
            flows.proto,
            self._port_classes[0][flows.source_port],
            self._port_classes[1][flows.destination_port],
        )

    def _policies(self) -> list[_Group]:
        found = []
        for each in self._blocks.policies.tiers:
            policies = [policy for policy in each.policies if self._direction in policy.types]
            group = _Group(len(self._endpoints))
            for policy in policies:
                identity = policy.identity
                chosen = np.array([identity in selected for selected in self._selected], bool)
                group.add(self._blocks.blocks[identity, self._direction].rows, chosen)
                name, action = each.tier.name, each.tier.default_action
                end = RuleName(END_OF_TIER, "", name, name, self._direction, action, -1, policy.ref)
                group.end(chosen, ACTIONS[action], self._rules.of(end))
            if policies:
                found.append(group)
        return found

    def _profiles(self) -> _Group:
        group = _Group(len(self._endpoints))
        everyone = np.ones(len(self._endpoints), bool)
        group.end(everyone, ACTIONS["Deny"], self._rules.of(RuleName(PROFILE, "", "", "", self._direction, "Deny", -1)))
        for name in dict.fromkeys(name for endpoint in self._endpoints for name in endpoint.profiles):
            having = np.array([name in endpoint.profiles for endpoint in self._endpoints], bool)
            identity: Identity = (PROFILE, "", name)
            block = self._blocks.blocks.get((identity, self._direction))
            if block is not None:
                group.add(block.rows, having)
            elif name.startswith(DEFAULT_PROFILE):
                allow = RuleName(PROFILE, "", name, "", self._direction, "Allow", 0)
                group.add(_always(self._rules.of(allow)), having)
        return group

    def _tier(self, group: _Group) -> Tier:
        rows, applies = group.deciding()
        maybe = np.isin(rows["proto"], list(ICMP)) & (rows["flags"] & NOT_PROTO == 0) & ~_all_ports(rows)
        action = np.where(maybe, MAYBE, rows["action"]).astype(np.uint8)
        tables = (
            self._addresses(rows["src_set"]),
            self._addresses(rows["dst_set"]),
            _protocols(rows),
            self._ports(rows, "src", 0, maybe),
            self._ports(rows, "dst", 1, maybe),
        )
        return Tier(
            _pack(applies), tables, action, rows["rule"].astype(np.uint32), group.selected, group.end_action,
            group.end_rule,
        )  # fmt: skip

    def _addresses(self, ids: NDArray[Any]) -> Bits:
        """[address class, word]."""
        inside = np.zeros((len(self._bounds) + 1, len(ids)), bool)
        for identity in np.unique(ids):
            member = np.ones(len(self._bounds) + 1, bool)
            if identity != ANY_SET:
                member = _covered(self._bounds, self._sets.contents(int(identity)))
            inside[:, ids == identity] = member[:, None]
        return _table(inside)

    def _ports(self, rows: NDArray[Any], side: str, which: int, maybe: NDArray[np.bool_]) -> Bits:
        bounds = self._port_bounds[which]
        starts = np.concatenate([[0], bounds])
        low, high = rows[f"{side}_low"], rows[f"{side}_high"]
        inside = (starts[:, None] >= low) & (starts[:, None] <= high)
        return _table(inside | maybe)


class _Group:
    """The rows of one tier with the endpoints that each is for, while they are put together."""

    def __init__(self, endpoints: int) -> None:
        self._parts: list[NDArray[Any]] = []
        self._chosen: list[NDArray[np.bool_]] = []
        self.selected = np.zeros(endpoints, bool)
        self.end_action = np.zeros(endpoints, np.uint8)
        self.end_rule = np.zeros(endpoints, np.uint32)

    @property
    def rows(self) -> NDArray[Any]:
        return np.concatenate(self._parts) if self._parts else np.zeros(0, ROW)

    def add(self, rows: NDArray[Any], chosen: NDArray[np.bool_]) -> None:
        self._parts.append(rows)
        self._chosen.append(np.repeat(chosen[:, None], len(rows), axis=1))

    def end(self, chosen: NDArray[np.bool_], action: int, rule: int) -> None:
        """What the end of the tier is for these endpoints; the last call counts."""
        self.selected |= chosen
        self.end_action[chosen], self.end_rule[chosen] = action, rule

    def deciding(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Rows but Log's, and [endpoint, row]: is it for that endpoint?"""
        rows = self.rows
        chosen = np.concatenate(self._chosen, axis=1) if self._chosen else np.zeros((len(self.selected), 0), bool)
        keep = rows["action"] != LOG
        return rows[keep], chosen[:, keep]


def lowest_bit(words: Bits) -> NDArray[np.int64]:
    """The position of the lowest bit that is set; words are not 0."""
    return np.bitwise_count((words & (~words + np.uint64(1))) - np.uint64(1)).astype(np.int64)


def _pack(bits: NDArray[np.bool_]) -> Bits:
    """[n, rows] of truths as [n, words], row r in bit r % 64 of word r // 64."""
    words = -(-bits.shape[1] // 64)
    padded = np.zeros((bits.shape[0], words * 64), bool)
    padded[:, : bits.shape[1]] = bits
    packed = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64)


def _table(bits: NDArray[np.bool_]) -> Bits:
    """As `_pack`, but one vector only where it is the same for every class: then no look-up is needed."""
    packed = _pack(bits)
    return packed[:1] if len(packed) > 1 and (packed == packed[0]).all() else packed


def _edges(rows: NDArray[Any], sets: SetIds) -> set[int]:
    """Where address sets start or have ended."""
    used = set(np.unique(rows["src_set"]).tolist()) | set(np.unique(rows["dst_set"]).tolist())
    return {edge for identity in used for first, last in sets.contents(identity) for edge in (first, last + 1)}


def _covered(bounds: NDArray[np.uint32], ranges: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    """Which address classes lie in a set whose edges are all among the bounds."""
    steps = np.zeros(len(bounds) + 2, np.int64)
    edges = np.array(ranges, np.int64).reshape(-1, 2)
    np.add.at(steps, np.searchsorted(bounds, edges[:, 0], side="right"), 1)
    np.add.at(steps, np.searchsorted(bounds, edges[:, 1], side="right") + 1, -1)
    covered: NDArray[np.bool_] = steps[:-1].cumsum() > 0
    return covered


def _port_bounds(rows: NDArray[Any], side: str) -> NDArray[np.int64]:
    edges = np.concatenate([rows[f"{side}_low"].astype(np.int64), rows[f"{side}_high"].astype(np.int64) + 1])
    return np.unique(edges[(edges > 0) & (edges <= 65535)])


def _protocols(rows: NDArray[Any]) -> Bits:
    numbers = np.arange(256)[:, None]
    inverted = rows["flags"] & NOT_PROTO != 0
    equal = numbers == rows["proto"]
    return _table(np.where(inverted, ~equal, equal | (rows["proto"] == 0)))


def _all_ports(rows: NDArray[Any]) -> NDArray[np.bool_]:
    found = (rows["src_low"] == 0) & (rows["src_high"] == 65535)
    found &= (rows["dst_low"] == 0) & (rows["dst_high"] == 65535)
    return np.asarray(found, bool)


def _always(rule: int) -> NDArray[Any]:
    return np.array([(rule, 0, 0, 0, 65535, 0, 65535, 0, ACTIONS["Allow"], 0, 0, 0)], ROW)
