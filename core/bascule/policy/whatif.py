"""What policy would have done to recorded flows, tens of thousands judged at once.

Every rule row is one bit. A flow's source, destination, protocol and ports each give a vector of the rows that they
satisfy; the vectors and that of the rows which count for the endpoint are ANDed, and the lowest bit left in a tier is
the first rule that matches. The rows are those that the data plane gets (blocks.py), so a forecast and
enforcement cannot differ by more than a flow record lacks: it has no ICMP type, so a rule that asks for one makes the
verdict unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.policy.bits import Tables, Tier, lowest_bit
from bascule.policy.blocks import Blocks
from bascule.policy.endpoints import Endpoint
from bascule.policy.ids import RuleIds, SetIds
from bascule.policy.layout import PASS, RuleName
from bascule.policy.model import PolicySet
from bascule.policy.peers import addresses
from bascule.resources.policy import EGRESS, INGRESS

UNKNOWN, ALLOW, DENY = 0, 1, 2
WORDS = ("unknown", "allow", "deny")
_CHUNK = 16384  # flows whose bit vectors stay in the cache


@dataclass(frozen=True, slots=True)
class Judged:
    """One entry for each flow. `verdict` is UNKNOWN, ALLOW or DENY; `rule` the id of the rule that decided: the one
    that denied or made it unknown, else the destination's, else the source's; 0 when no end is an endpoint."""

    verdict: NDArray[np.uint8]
    rule: NDArray[np.uint32]


class WhatIf:
    """Judges new connections under one PolicySet. Made once for a set of endpoints, then asked with any flows."""

    def __init__(self, policies: PolicySet, endpoints: Iterable[Endpoint]) -> None:
        self._rules = RuleIds()
        sets = SetIds()
        self._blocks = Blocks(policies, endpoints, self._rules, sets)
        ordered = sorted(self._blocks.endpoints.values(), key=lambda endpoint: endpoint.key)
        self._tables = {word: Tables(self._blocks, ordered, word, self._rules, sets) for word in (INGRESS, EGRESS)}
        owners: dict[int, int] = {}
        for at, endpoint in enumerate(ordered):
            for version, value in addresses(endpoint):
                if version == 4:
                    owners.setdefault(value, at)
        edges = {edge for tables in self._tables.values() for edge in tables.edges}
        edges |= {edge for value in owners for edge in (value, value + 1)}
        bounds = sorted(edge for edge in edges if edge <= 0xFFFFFFFF)
        self._bounds = np.array(bounds, np.uint32)
        self._owner = np.array([-1, *(owners.get(bound, -1) for bound in bounds)], np.int64)
        for tables in self._tables.values():
            tables.build(self._bounds)

    def rule_name(self, identity: int) -> RuleName | None:
        """What a rule id of `judge` stands for."""
        return self._rules.name(identity)

    def judge(self, records: NDArray[Any]) -> Judged:
        """Both ends of each record: `src_ip`, `dst_ip`, `proto`, `src_port`, `dst_port` of bascule.flows RECORD."""
        verdict, rule = np.zeros(len(records), np.uint8), np.zeros(len(records), np.uint32)
        for at in range(0, len(records), _CHUNK):
            part = slice(at, at + _CHUNK)
            self._judge(records[part], verdict[part], rule[part])
        return Judged(verdict, rule)

    def _judge(self, records: NDArray[Any], verdict: NDArray[np.uint8], rule: NDArray[np.uint32]) -> None:
        source, destination = (
            np.searchsorted(self._bounds, as_numbers(records[name]), side="right") for name in ("src_ip", "dst_ip")
        )
        proto = records["proto"].astype(np.int64)
        ports = records["src_port"].astype(np.int64), records["dst_port"].astype(np.int64)
        ends = ((EGRESS, self._owner[source]), (INGRESS, self._owner[destination]))
        found = []
        for direction, owner in ends:
            known = np.flatnonzero(owner >= 0)
            word, by = np.full(len(records), ALLOW, np.uint8), np.zeros(len(records), np.uint32)
            if len(known):
                table = self._tables[direction]
                packet = Packets(source[known], destination[known], proto[known], ports[0][known], ports[1][known])
                word[known], by[known] = _decide(table, owner[known], packet)
            found.append((word, by))
        (one, one_by), (two, two_by) = found
        verdict[:] = _STRONGER[one, two]
        rule[:] = np.where((one == verdict) & ((verdict != ALLOW) | (two_by == 0)), one_by, two_by)
        verdict[(ends[0][1] < 0) & (ends[1][1] < 0)] = UNKNOWN


@dataclass(frozen=True, slots=True)
class Packets:
    """Columns of equal length; addresses as their classes."""

    source: NDArray[np.int64]
    destination: NDArray[np.int64]
    proto: NDArray[np.int64]
    source_port: NDArray[np.int64]
    destination_port: NDArray[np.int64]


_STRONGER = np.array([[UNKNOWN, UNKNOWN, DENY], [UNKNOWN, ALLOW, DENY], [DENY, DENY, DENY]], np.uint8)


def as_numbers(addresses_: NDArray[Any]) -> NDArray[np.uint32]:
    """An (n, 4) column of address bytes as numbers."""
    return np.ascontiguousarray(addresses_).view(">u4").reshape(-1).astype(np.uint32)


def _decide(tables: Tables, owner: NDArray[np.int64], packets: Packets) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """(verdict, rule) of one direction, tier by tier; each tier sees only the flows that none before it decided."""
    verdict, rule = np.zeros(len(owner), np.uint8), np.zeros(len(owner), np.uint32)
    classes = tables.classes(packets)
    left = np.arange(len(owner))
    for tier in tables.tiers:
        here = left[tier.selected[owner[left]]]
        if not len(here):
            continue
        words = tier.match(owner[here], classes, here)
        action, by = _first(tier, words, owner[here])
        decided = action != PASS
        verdict[here[decided]], rule[here[decided]] = action_words(action[decided]), by[decided]
        open_ = np.zeros(len(owner), bool)
        open_[left] = True
        open_[here[decided]] = False
        left = np.flatnonzero(open_)
    return verdict, rule


def _first(
    tier: Tier, words: NDArray[np.uint64], owner: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Action and rule of the first row that matches, the tier's end where none does."""
    action, by = tier.end_action[owner], tier.end_rule[owner]
    if words.shape[1]:
        filled = words != 0
        word = filled.argmax(axis=1)
        hit = np.flatnonzero(filled[np.arange(len(word)), word])
        row = word[hit] * 64 + lowest_bit(words[hit, word[hit]])
        action[hit], by[hit] = tier.action[row], tier.rule[row]
    return action, by


def action_words(actions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Row actions as verdicts: ALLOW and DENY are the same numbers, all else is UNKNOWN."""
    return np.where((actions == ALLOW) | (actions == DENY), actions, UNKNOWN).astype(np.uint8)
