"""Acceptance: with whom each VM talked before its move and with whom after, and what of that is missing or new.

Every line falls into exactly one of four classes. What is missing after is only called stopped when it has been quiet
for longer than it ever was before, and for longer than `enough_after_s`: a nightly job has not stopped at noon.
Nothing is inferred from silence that was not recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bascule.flows.rows import proto_text, time_text
from bascule.migration.acceptance_flows import (
    Conversation,
    Identity,
    Line,
    Recorded,
    called_ports,
    conversations,
    narrowed,
)

KEPT, STOPPED, NEW, OPEN = "kept", "stopped", "new", "not comparable"
CLASSES = (STOPPED, OPEN, NEW, KEPT)
"""In the order in which they matter."""
DYNAMIC = 49152
"""RFC 6335: from here on no port is anybody's, so one that is in a single window stands for all of them."""
_IPV4 = 0x0800


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Seconds that a window has to have before its silence says anything: `before` for new, `after` for stopped."""

    enough_before_s: float = 3600.0
    enough_after_s: float = 600.0


USUAL = Thresholds()


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of one VM. `port` 0 has none, DYNAMIC stands for itself and all above; counts are passed frames.

    `began_*` is who opened connections (vm, peer, both), "" when that was not recorded.
    """

    status: str
    peer: str
    peer_name: str
    proto: str
    port: int
    at: str
    began_before: str
    began_after: str
    before: int
    after: int
    evidence: str

    @property
    def name(self) -> str:
        """As `--accept-missing` takes it: `PEER:PORT`, `PEER:icmp` without a port."""
        if not self.port:
            return f"{self.peer}:{self.proto}"
        return f"{self.peer}:{self.port}" + ("+" if self.port == DYNAMIC else "")

    @property
    def began(self) -> str:
        """Who opened it, in the windows that have it: `peer`, `vm/?` for one that was told before only, `?`."""
        told = ((self.began_before, self.before), (self.began_after, self.after))
        return "/".join(dict.fromkeys(who or "?" for who, frames in told if frames)) or "?"


@dataclass(frozen=True)
class VmAcceptance:
    """One VM and all its lines, the most important first."""

    vm: Identity
    lines: tuple[Compared, ...]
    before: Recorded = field(repr=False)
    after: Recorded = field(repr=False)

    def of(self, status: str) -> tuple[Compared, ...]:
        """The lines of one class."""
        return tuple(each for each in self.lines if each.status == status)

    @property
    def verdict(self) -> str:
        """The worst: STOPPED, then OPEN, else KEPT; OPEN also when nothing was heard before."""
        if not self.of(STOPPED) and not self.of(OPEN):
            return KEPT if self.of(KEPT) else OPEN
        return STOPPED if self.of(STOPPED) else OPEN


def compare(
    before: Mapping[str, Recorded] | Recorded,
    after: Mapping[str, Recorded] | Recorded,
    vms: Sequence[Identity],
    names: Mapping[str, str] | None = None,
    thresholds: Thresholds = USUAL,
) -> list[VmAcceptance]:
    """Compare two windows for each VM, in the order of wave and name.

    Either may be one window or one by VM key (`after` begins with each VM's start). `names` is address → name of peers.
    """
    earlier_of = narrowed(before, vms) if isinstance(before, Recorded) else before
    later_of = narrowed(after, vms) if isinstance(after, Recorded) else after
    called = called_ports(each for vm in vms for each in (earlier_of[vm.key], later_of[vm.key]))
    found = []
    for vm in sorted(vms, key=lambda vm: (vm.wave, vm.name, vm.key)):
        earlier, later = earlier_of[vm.key], later_of[vm.key]
        was, now = conversations(earlier, vm, called), conversations(later, vm, called)
        was = {line: talk for line, talk in was.items() if talk.talked}
        was, now = _dynamic_joined(was, now), _dynamic_joined(now, was)
        judge = _Judge(earlier, later, thresholds, names or {})
        lines = [judge.line(line, was.get(line), now.get(line)) for line in {**was, **now}]
        order = sorted(lines, key=lambda each: (CLASSES.index(each.status), _order(each)))
        found.append(VmAcceptance(vm, tuple(order), earlier, later))
    return found


def _order(each: Compared) -> tuple[Any, ...]:
    return tuple(int(part) for part in each.peer.split(".")), each.proto, each.port, each.at


def _dynamic_joined(mine: Mapping[Line, Conversation], other: Mapping[Line, Conversation]) -> dict[Line, Conversation]:
    """Lines on dynamic ports that only one window has, joined to one a peer, protocol and side."""
    found: dict[Line, Conversation] = {}
    for line, talk in sorted(mine.items()):
        if line.port >= DYNAMIC and line not in other:
            line = Line(line.peer, line.proto, DYNAMIC, line.at)
        found[line] = found[line].joined(talk) if line in found else talk
    return found


class _Judge:
    """The rules, for one VM's two windows."""

    def __init__(self, before: Recorded, after: Recorded, thresholds: Thresholds, names: Mapping[str, str]) -> None:
        self._before, self._after, self._thresholds, self._names = before, after, thresholds, names

    def line(self, line: Line, was: Conversation | None, now: Conversation | None) -> Compared:
        """One line's class, with the figures that it follows from."""
        status, evidence = self._new(now) if was is None else self._old(was, now)
        was, now = was or Conversation(), now or Conversation()
        name = self._names.get(line.peer, "")
        proto = proto_text(_IPV4, line.proto)
        began = was.began, now.began
        counts = was.out + was.back, now.out + now.back
        return Compared(status, line.peer, name, proto, line.port, line.at, *began, *counts, evidence)

    def _new(self, now: Conversation | None) -> tuple[str, str]:
        now = now or Conversation()
        how = _tried(now) if not now.talked else f"{now.out} frames out, {now.back} back"
        enough = self._thresholds.enough_before_s
        if not self._before.seconds:
            return OPEN, f"{how}; when the old flows were recorded is not known, so it need not be new"
        if self._before.seconds < enough:
            return OPEN, f"{how}; only {span(self._before.seconds)} were recorded before, of {span(enough)} needed"
        return NEW, f"{how}; not heard in {span(self._before.seconds)} before"

    def _old(self, was: Conversation, now: Conversation | None) -> tuple[str, str]:
        now = now or Conversation()
        heard_ns, works = now.last_ns(was.both_ways), now.talked and (now.both_ways or not was.both_ways)
        length = self._after.seconds
        quiet = max(0, self._after.until_ns - heard_ns) / 1e9 if works and heard_ns and length else length
        silence = was.longest_silence_s(self._before.since_ns, self._before.until_ns)
        needed = max(self._thresholds.enough_after_s, silence)
        if works and (quiet < needed or not heard_ns or not length):
            return KEPT, f"{now.out} frames out, {now.back} back"
        how = f"last heard {time_text(heard_ns)}, {span(quiet)} ago" if works else _tried(now)
        if self._after.silent:
            return OPEN, f"{how}; {', '.join(self._after.silent)} told nothing"
        if quiet < needed:
            return OPEN, f"{how}; {self._too_short(silence, quiet)}"
        return STOPPED, f"{how} in {span(length)} after; before never quiet for more than {span(silence)}"

    def _too_short(self, silence: float, quiet: float) -> str:
        if silence > self._thresholds.enough_after_s:
            return (
                f"before it was quiet for up to {span(silence)} of {span(self._before.seconds)}, after it are only "
                f"{span(quiet)}: a periodic job may not have run yet"
            )
        return f"after it are only {span(quiet)} of {span(self._thresholds.enough_after_s)} needed"


def _tried(now: Conversation) -> str:
    """What there is instead of talk."""
    if now.refused:
        return f"refused: {now.refused} frames did not pass"
    if now.resets:
        return f"answered by {now.resets} TCP resets"
    if now.out or now.back:
        return f"unanswered: {now.out} frames out, {now.back} back"
    return "nothing"


def span(seconds: float) -> str:
    """A length of time as people say it: `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = int(seconds)
    for unit, below, one, part in ((86400, 3600, "d", "h"), (3600, 60, "h", "min")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {one}" + (f" {rest} {part}" if rest else "")
    return f"{whole // 60} min" if whole >= 120 else f"{whole} s"


def rows(found: Iterable[VmAcceptance]) -> list[dict[str, Any]]:
    """One row a line, for tables: vm, wave and the fields of Compared."""
    names = Compared.__dataclass_fields__
    return [
        {
            "vm": each.vm.name,
            "wave": each.vm.wave,
            **{name: getattr(line, name) for name in names},
            "name": line.name,
            "began": line.began,
        }
        for each in found
        for line in each.lines
    ]


def summary(found: Iterable[VmAcceptance]) -> list[dict[str, Any]]:
    """One row a VM: vm, wave, verdict and how many lines are of each class."""
    return [
        {"vm": each.vm.name, "wave": each.vm.wave, "verdict": each.verdict}
        | {status: len(each.of(status)) for status in CLASSES}
        for each in found
    ]
