"""What the flow screen shows beside single flows: top talkers, drops, ARP, facets. Pure, made from the last minute.

They are made when the screen asks, about once a second, not per batch: sixty seconds of flows are worth grouping once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bascule.flows.drops import KERNEL
from bascule_console.store.flows import Flows

if TYPE_CHECKING:
    from bascule.flows.dropwindow import Recent
    from bascule.flows.facets import Facets
    from bascule.flows.filter import Filter
    from bascule.flows.window import Talker

SECONDS = (2, 10, 60)
WAYS = (
    ("src", "dst"),
    ("vm",),
    ("src",),
    ("dst",),
    ("dst.port", "proto"),
    ("proto",),
    ("vlan",),
    ("ns",),
    ("node",),
    ("network",),
    ("src.ip",),
    ("dst.ip",),
    ("src.mac",),
    ("verdict", "reason"),
    ("rule",),
)
"""By what talkers can be grouped on screen, one after the other; `bascule flows top --by` takes any."""
FACETS = ("verdict", "reason", "proto", "vlan", "ns", "vm", "node", "dst.port", "dst.kind")
FACET_VALUES = 6
DROPS = ("reason", "node", "vm", "dir", "vlan", "src", "dst", "proto")
ARP = ("proto", "vlan", "vm", "src", "src.ip", "src.mac", "dst.ip", "dst.mac", "verdict", "reason")
BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass(frozen=True)
class TopRow:
    """One talker. `values` by the names in `by`; rates are per second over `seconds`."""

    by: tuple[str, ...]
    values: tuple[str, ...]
    seconds: int
    packets: int
    bytes: int
    dropped: int
    flows: int
    series: tuple[int, ...]
    note: str = ""  # of what a link dropped: the reason in words

    @property
    def name(self) -> str:
        """The values in words; an empty one is a dash."""
        return " ".join(value or "-" for value in self.values)

    @property
    def packet_rate(self) -> float:
        """Frames a second."""
        return self.packets / self.seconds

    @property
    def byte_rate(self) -> float:
        """Bytes a second."""
        return self.bytes / self.seconds

    @property
    def drop_rate(self) -> float:
        """Frames a second that did not pass."""
        return self.dropped / self.seconds

    def value(self, name: str) -> str:
        """One of the values."""
        return self.values[self.by.index(name)]


@dataclass(frozen=True)
class FacetRow:
    """One value of one field, with the frames of the last minute that have it; `first` of its field."""

    field: str
    value: str
    packets: int
    first: bool


def talkers(flows: Flows, wanted: Filter, by: tuple[str, ...], seconds: int) -> dict[Hashable, TopRow]:
    """Who talks, most bytes first."""
    from bascule.flows.window import kept_by, top

    scenes = kept_by(flows.scenes(60), wanted)
    return {each.values: _row(by, seconds, each) for each in top(scenes, by, flows.newest_ns, seconds)}


def drops(flows: Flows, wanted: Filter) -> dict[Hashable, TopRow]:
    """What did not pass in the last minute, by reason and place, most frames first: at ports, and what the kernel or
    the trunk programs dropped at a link of a node."""
    dropped = _and(wanted, "verdict:drop,deny")
    found = [*talkers(flows, dropped, DROPS, 60).values(), *(_link_row(flows, each) for each in flows.drops(dropped))]
    return {row.values: row for row in sorted(found, key=lambda row: -row.packets)}


def _link_row(flows: Flows, recent: Recent) -> TopRow:
    drop, port = recent.drop, flows.port(recent.node, recent.drop.ifindex)
    reason = f"{drop.by} {drop.reason}" if drop.by == KERNEL else drop.reason
    place = f"{port.vm} ({drop.link})" if port.vm else drop.link
    values = (reason, recent.node, place, "", str(port.vlan or ""), "", "", "")
    note = f"{drop.why or 'no words for this reason'}; {drop.packets} in all"
    sums = (recent.packets, recent.bytes, recent.packets, 1, recent.series)
    return TopRow(DROPS, values, 60, *sums, note)


def arps(flows: Flows, wanted: Filter) -> dict[Hashable, TopRow]:
    """ARP and RARP of the last minute: who asks for whom, who answers."""
    return dict(talkers(flows, _and(wanted, "proto:arp,rarp"), ARP, 60))


def facets(flows: Flows, counted: Facets, wanted: Filter) -> dict[Hashable, FacetRow]:
    """The commonest values of each field in the last minute; `counted` is kept from one time to the next."""
    found = dict[Hashable, FacetRow]()
    for field, counts in flows.facets(counted, wanted).items():
        for at, (value, frames) in enumerate(counts.commonest(FACET_VALUES)):
            found[field, value] = FacetRow(field, value, frames, at == 0)
    return found


def narrowed(text: str, field: str, value: str) -> str:
    """A filter's text with one more term, or without it when it ends with that term."""
    from bascule.flows.filter.complete import written

    term = f"{field}:{written(value)}"
    if text == term or text.endswith(f" {term}"):
        return text[: -len(term)].rstrip()
    return f"({text}) {term}" if " or " in f" {text.lower()} " or "||" in text else f"{text} {term}".strip()


def _and(wanted: Filter, more: str) -> Filter:
    from bascule.flows.filter import read_filter

    return read_filter(f"({wanted.text}) {more}" if wanted.text else more)


def _row(by: tuple[str, ...], seconds: int, each: Talker) -> TopRow:
    return TopRow(by, each.values, seconds, each.packets, each.bytes, each.dropped, each.flows, each.series)
