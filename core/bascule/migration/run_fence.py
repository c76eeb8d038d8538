"""The address fence: who may answer for an address at which moment, and when silence is proven.

Old and new side have the same MAC and address on purpose, so an answer does not tell which end it was. What tells is
time and power: while the source is on only the planned MAC may answer; before the target starts the source is off, and
nobody at all has answered for SILENCE_S, asked from two places.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

SILENCE_S = 1.0
"""How long nobody may have answered before the target may speak."""
PROBES = 10
"""How many questions in that time must have stayed unanswered, at each place."""
PLACES = 2
GRACE_S = 0.25
"""A question younger than this may still be answered, or its answer be on its way to us: agents tell every 0.1 s."""
STALE_S = 1.0
"""A place that was not heard of for longer proves nothing."""
Point = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Quiet:
    """What one place heard of an address: for how long nobody has answered it, and how many questions that were.
    `last_ns` is when the last answer came, None for never."""

    place: str
    seconds: float
    unanswered: int
    last_ns: int | None = None


def quiet(place: str, points: Sequence[Point], now_ns: int, grace_s: float = GRACE_S) -> Quiet:
    """The silence in a series of `[seq, tx_ns, rx_ns or None]`, in sending order. A place that asks no more proves
    nothing: its silence ends with its last question."""
    grace = round(grace_s * 1e9)
    answers = [rx for _, _, rx in points if rx is not None]
    last = max(answers, default=None)
    sent = [tx for _, tx, _ in points if tx is not None and tx <= now_ns - grace and (last is None or tx > last)]
    if not sent or now_ns - sent[-1] > round(STALE_S * 1e9):
        return Quiet(place, 0.0, 0, last)
    begin = sent[0] if last is None else last
    return Quiet(place, (sent[-1] - begin) / 1e9, len(sent), last)


def unproven(found: Sequence[Quiet], silence_s: float = SILENCE_S) -> str:
    """Why silence is not proven; "" when it is: every place that asks has heard nobody, and there are two."""
    if len({each.place for each in found}) < PLACES:
        asked = ", ".join(sorted({each.place for each in found})) or "nowhere"
        return f"asked from {asked} only; two places have to agree"
    for each in found:
        if each.seconds < silence_s or each.unanswered < PROBES:
            return f"{each.place} has heard nobody for {each.seconds:.2f} s and {each.unanswered} questions only"
    return ""


def foreign(mac: str, heard: Collection[str]) -> list[str]:
    """The MACs that answered and are not the planned one; all of them where none is planned and there are several."""
    if not mac:
        return sorted(heard) if len(set(heard)) > 1 else []
    return sorted({each for each in heard if each.lower() != mac.lower()})
