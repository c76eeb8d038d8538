"""Two policy sets on the same recorded traffic: which talkers would be newly denied, which newly allowed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.rows import ETH_IPV4, ip_text, proto_text
from bascule.policy.conversations import conversations
from bascule.policy.whatif import WORDS, WhatIf


@dataclass(frozen=True, slots=True)
class Talker:
    """One source, destination and service whose verdict changes. `flows` counts conversations; packets and bytes are of
    both directions; the rules are those that decided, as RuleName.text, "" where no end has policy."""

    source: str
    destination: str
    proto: str
    port: int
    before: str
    after: str
    flows: int
    packets: int
    bytes: int
    rule_before: str
    rule_after: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Forecast:
    """`judged` conversations of which `changed` get another verdict; `talkers` by bytes, most first; `counts` are the
    conversations by (before, after); `skipped` records are none of policy's business."""

    judged: int
    changed: int
    skipped: int
    counts: dict[tuple[str, str], int]
    talkers: tuple[Talker, ...]


def forecast(records: NDArray[Any], before: WhatIf, after: WhatIf) -> Forecast:
    """Judge recorded traffic (RECORD-typed, any mixture of ports and drains) under both."""
    found = conversations(records)
    old, new = before.judge(found.flows), after.judge(found.flows)
    pairs, numbers = np.unique(np.stack([old.verdict, new.verdict]), axis=1, return_counts=True)
    counts = {(WORDS[a], WORDS[b]): int(n) for a, b, n in zip(*pairs.tolist(), numbers, strict=True)}
    changed = np.flatnonzero(old.verdict != new.verdict)
    sums: dict[tuple[Any, ...], list[int]] = {}
    for at in changed.tolist():
        flow = found.flows[at]
        key = (
            flow["src_ip"].tobytes(), flow["dst_ip"].tobytes(), int(flow["proto"]), int(flow["dst_port"]),
            int(old.verdict[at]), int(new.verdict[at]), int(old.rule[at]), int(new.rule[at]),
        )  # fmt: skip
        total = sums.setdefault(key, [0, 0, 0])
        for position, value in enumerate((1, int(flow["packets"]), int(flow["bytes"]))):
            total[position] += value
    talkers = sorted((_talker(key, total, before, after) for key, total in sums.items()), key=_weight)
    return Forecast(len(found.flows), len(changed), found.skipped, counts, tuple(talkers))


def _talker(key: tuple[Any, ...], total: list[int], before: WhatIf, after: WhatIf) -> Talker:
    source, destination, proto, port, old, new, old_rule, new_rule = key
    old_name, new_name = before.rule_name(old_rule), after.rule_name(new_rule)
    return Talker(
        source=ip_text(source),
        destination=ip_text(destination),
        proto=proto_text(ETH_IPV4, proto),
        port=port,
        before=WORDS[old],
        after=WORDS[new],
        flows=total[0],
        packets=total[1],
        bytes=total[2],
        rule_before=old_name.text if old_name else "",
        rule_after=new_name.text if new_name else "",
    )


def _weight(talker: Talker) -> tuple[Any, ...]:
    return -talker.bytes, talker.source, talker.destination, talker.proto, talker.port
