"""Packets per NIC and rule, from the flow records: every frame is in one, and each names the rule that decided.

What records cannot tell is counted by the program: rows that only log, and what staged policies would have said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.record import EGRESS, INGRESS
from bascule.policy.endpoints import Key
from bascule.policy.layout import RuleName
from bascule_agent.bpf.objects import Objects

_DIRECTIONS = {"Ingress": INGRESS, "Egress": EGRESS}
LOGGED, STAGED_ALLOW, STAGED_DENY = 0, 1, 2


@dataclass(slots=True)
class Hits:
    """What one rule decided; `last_ns` CLOCK_REALTIME, 0 for never."""

    packets: int = 0
    bytes: int = 0
    last_ns: int = 0


class HitCount:
    """Sums by NIC. `nic_of(ifindex)` says whose a record is, `name_of(rule)` what a rule is.

    `restored` is `document()` of an earlier agent.
    """

    def __init__(
        self,
        nic_of: Callable[[int], Key | None],
        name_of: Callable[[int], RuleName | None],
        restored: Mapping[str, Any],
        now_ns: int,
    ) -> None:
        self._nic_of, self._name_of = nic_of, name_of
        self._of: dict[Key, dict[int, Hits]] = defaultdict(lambda: defaultdict(Hits))
        self.since_ns = int(restored.get("since_ns") or now_ns)
        for entry in restored.get("nics", []):
            key = (str(entry[0]), str(entry[1]), str(entry[2]))
            self._of[key] = defaultdict(Hits, {int(rule): Hits(*found) for rule, *found in entry[3]})

    def add(self, records: NDArray[Any]) -> None:
        """One drain's records."""
        ruled = records[self._own(records)]
        both = ruled["ifindex"].astype("<u8") << np.uint64(32) | ruled["rule"].astype("<u8")
        keys, at = np.unique(both, return_inverse=True)
        sums = {name: np.bincount(at, ruled[name], len(keys)) for name in ("packets", "bytes")}
        last = np.zeros(len(keys), "<u8")
        np.maximum.at(last, at, ruled["last"])
        for number, both_at in enumerate(keys.tolist()):
            nic = self._nic_of(both_at >> 32)
            if nic is None:
                continue
            hits = self._of[nic][both_at & 0xFFFFFFFF]
            hits.packets += int(sums["packets"][number])
            hits.bytes += int(sums["bytes"][number])
            hits.last_ns = max(hits.last_ns, int(last[number]))

    def _own(self, records: NDArray[Any]) -> NDArray[Any]:
        """Frames of their rule's direction: the answers carry its id too, and are no hits."""
        rules, at = np.unique(records["rule"], return_inverse=True)
        names = [self._name_of(int(rule)) for rule in rules]
        directions = np.array([-1 if name is None else _DIRECTIONS[name.direction] for name in names])
        own: NDArray[Any] = directions[at] == records["direction"]
        return own

    def of(self, nic: Key) -> Mapping[int, Hits]:
        """One NIC's sums by rule id."""
        return self._of.get(nic, {})

    def take_over(self, nic: Key, hits: Mapping[int, Hits]) -> None:
        """Put another node's sums under a NIC that came from there."""
        for rule, found in hits.items():
            mine = self._of[nic][rule]
            mine.packets += found.packets
            mine.bytes += found.bytes
            mine.last_ns = max(mine.last_ns, found.last_ns)

    def forget(self, nic: Key) -> None:
        """The NIC is gone."""
        self._of.pop(nic, None)

    def document(self) -> dict[str, Any]:
        """For the memory's file."""
        nics = [
            [*key, [[rule, each.packets, each.bytes, each.last_ns] for rule, each in rules.items()]]
            for key, rules in self._of.items()
        ]
        return {"since_ns": self.since_ns, "nics": nics}


def counted(objects: Objects, ifindexes: Mapping[int, Key]) -> dict[tuple[Key, int, int], Hits]:
    """What the program counted itself, by (NIC, kind, rule id). Blocking."""
    keys, values = objects.rows("hits")
    return {
        (ifindexes[int(key["ifindex"])], int(key["kind"]), int(key["rule"])): Hits(
            int(value["packets"]), int(value["bytes"])
        )
        for key, value in zip(keys, values, strict=True)
        if int(key["ifindex"]) in ifindexes
    }
