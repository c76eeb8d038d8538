"""Policy as map contents: the layout of a rule row and of a prefix key, and what the numbers in them mean.

A NIC has one array of rows for each direction. A program walks it from row 0: a row matches when all of its criteria
do; ALLOW and DENY decide, LOG reports and goes on, PASS goes on at row `next` (the first of the next tier). The last
row always matches and decides. All criteria of a rule are folded into two address sets and two port ranges, so a row
costs at most two LPM lookups; a rule with several ports becomes several rows with the same `rule`.

- `proto` 0 is any protocol; with flag NOT_PROTO it is any but that one.
- `src_set`, `dst_set` 0 is any address; else the packet's address must have a prefix in `PREFIX` under that id. Sets
  are never changed once written: other contents get another id, so no packet meets a half-written set.
- ports are host order, ends included. For ICMP (proto 1 or 58) the type stands in for the source port and the code for
  the destination port. 0 to 65535 is any, also for protocols without ports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROW = np.dtype(
    [
        ("rule", "<u4"),
        ("src_set", "<u4"),
        ("dst_set", "<u4"),
        ("src_low", "<u2"),
        ("src_high", "<u2"),
        ("dst_low", "<u2"),
        ("dst_high", "<u2"),
        ("next", "<u2"),
        ("action", "u1"),
        ("flags", "u1"),
        ("proto", "u1"),
        ("pad", "u1", (3,)),
    ]
)
"""28 bytes."""
PREFIX = np.dtype([("length", "<u4"), ("set", "<u4"), ("address", "u1", (4,))])
"""A key of one LPM trie for all sets; `length` counts the set's 32 bits too (32 to 64)."""
ALLOW, DENY, LOG, PASS = 1, 2, 3, 4
NOT_PROTO = 1
ANY_SET = 0
ACTIONS = {"Allow": ALLOW, "Deny": DENY, "Log": LOG, "Pass": PASS}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the maps hold; a NIC whose policy needs more is refused and keeps its last good program."""

    rows: int = 1024
    prefixes: int = 65536


@dataclass(frozen=True, slots=True)
class RuleName:
    """What a rule id in a row, a counter or a flow record stands for; fields as in bascule.policy.verdict.Hit. At the
    end of a tier `rule_index` is -1 and `field` names the policy because of which the end counts."""

    kind: str
    namespace: str
    name: str
    tier: str
    direction: str
    action: str
    rule_index: int
    field: str = ""

    @property
    def text(self) -> str:
        """`default/NetworkPolicy/vms/web ingress[0]`, or `default/EndOfTier`."""
        where = "/".join(part for part in (self.tier, self.kind, self.namespace, self.name) if part)
        if self.rule_index < 0:
            return f"{where} {self.direction.lower()} end"
        return f"{where} {self.direction.lower()}[{self.rule_index}]"
