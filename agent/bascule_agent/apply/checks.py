"""The probes before and after a change: API server, the node's gateway, every VLAN in use, every port. Blocking.

What passed before the change must pass after it; what did not pass before proves nothing against it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bascule.hostplan.desired import Desired
from bascule.hostplan.observed import Observed
from bascule.trunks.questions import Place, Question
from bascule_agent.apply.host import Host
from bascule_agent.probes.errors import ProbeSocketError
from bascule_agent.probes.trunk import Ask, Reply, ask

FULL_SIZE = 1500
FORWARDING = 3
API_SECONDS = 1.0
PATHS = 32
_FIRST, _FULL, _JUMBO, _PATH, _GATEWAY = 0, 1, 2, 5, 6


@dataclass(frozen=True)
class Look:
    """One look: check → "" for passed, else what is wrong; `macs` of those who answered, by place; `jumbo` the MTU of
    the trunk that each place was asked on, where that is more than 1500."""

    said: Mapping[str, str]
    macs: Mapping[Place, str] = field(default_factory=dict)
    jumbo: Mapping[Place, int] = field(default_factory=dict)

    @property
    def passed(self) -> frozenset[str]:
        """The checks that passed."""
        return frozenset(name for name, problem in self.said.items() if not problem)

    def worse_than(self, before: Look) -> dict[str, str]:
        """What passed before and does not now; a VLAN that is silent is not told a second time for a large frame."""
        worse = {name: problem for name, problem in self.said.items() if problem and name in before.passed}
        return {
            name: problem
            for name, problem in worse.items()
            if not _SIZED.match(name) or _SIZED.sub("vlan ", name) not in worse
        }


@dataclass(frozen=True)
class Way:
    """How one segment reaches the wire: `tag` None is native; `stub` is its side of the trunk, "" where none is."""

    trunk: str
    tag: int | None
    stub: str = ""


def ways_now(observed: Observed) -> dict[Place, Way]:
    """Every segment's way as the maps have it."""
    found = {}
    for trunk, vid, stub in observed.demux:
        link = observed.by_index.get(stub)
        if link and link.owner:
            tag = None if (trunk, vid) in observed.native else vid
            found[link.owner.network, vid] = Way(observed.name_of(trunk), tag, link.name)
    return found


def ways_to_be(desired: Desired) -> dict[Place, Way]:
    """Every segment's way as it should become."""
    native = {use.name: use.native for use in desired.trunks}
    return {
        (item.network, item.vid): Way(item.trunk, None if native.get(item.trunk) == item.vid else item.vid)
        for item in desired.segments
        if item.trunk
    }


class Checks:
    """The checks of one node; `server` is the API server's URL."""

    def __init__(self, node: str, host: Host, server: str) -> None:
        self._node, self._host, self._server = node, host, server

    def look(self, questions: Iterable[Question], attempts: int = 2, before: Look | None = None) -> Look:
        """Look at everything now; 2-20 ms when all answers, 0.2 s per attempt where something is silent. Frames larger
        than 1500 bytes are asked for as large as the trunk takes, or as they were asked for `before`."""
        observed = self._host.observe()
        said = {"api": self._api(), "gateway": self._gateway(observed), **self._ports()}
        macs: dict[Place, str] = {}
        ways = ways_now(observed)
        asked = [(q, ways[q.network, q.vlan]) for q in questions if (q.network, q.vlan) in ways and q.targets]
        jumbo = dict(before.jumbo) if before else _jumbo(asked, observed)
        for trunk in sorted({way.trunk for _, way in asked}):
            here = [(question, way) for question, way in asked if way.trunk == trunk]
            self._vlans(trunk, here, attempts, said, macs, jumbo)
        self._paths(asked, macs, said)
        return Look(said, macs, jumbo)

    def _api(self) -> str:
        parts = urlsplit(self._server)
        try:
            socket.create_connection((parts.hostname or "", parts.port or 443), API_SECONDS).close()
        except OSError as error:
            return f"the API server at {parts.netloc} does not answer: {error}"
        return ""

    def _gateway(self, observed: Observed) -> str:
        route = next((r for r in self._host.netlink.routes() if r.dst == "0.0.0.0/0" and r.via), None)
        if route is None:
            return "no default gateway"
        link = observed.name_of(route.index)
        replies = self._ask(link, [Ask(0, None, route.via, _GATEWAY)], 2)
        return "" if replies else f"gateway {route.via} does not answer on {link}"

    def _ports(self) -> dict[str, str]:
        manager = self._host.ports
        said = {}
        for adopted in manager.adopt() if manager else ():
            name = f"port {adopted.port.ifindex}"
            state = self._host.netlink.brport(adopted.port.ifindex).get("state") if not adopted.problems else None
            problem = "; ".join(adopted.problems)
            said[name] = problem or ("" if state == FORWARDING else "it does not forward")
        return said

    def _ask(self, link: str, asks: Sequence[Ask], attempts: int) -> tuple[Reply, ...]:
        try:
            return ask(self._node, link, asks, attempts).replies
        except ProbeSocketError:
            return ()

    def _vlans(
        self,
        trunk: str,
        asked: Sequence[tuple[Question, Way]],
        attempts: int,
        said: dict[str, str],
        macs: dict[Place, str],
        jumbo: Mapping[Place, int],
    ) -> None:
        sizes = {(q.network, q.vlan): _sizes(jumbo.get((q.network, q.vlan), 0)) for q, _ in asked}
        asks = [
            Ask(q.vlan, way.tag, q.targets[0], kind, size)
            for q, way in asked
            for kind, size in sizes[q.network, q.vlan]
        ]
        answered = {(r.ask.vlan, r.ask.kind): r for r in self._ask(trunk, asks, attempts)}
        link = self._host.netlink.find(trunk)
        for question, way in asked:
            place = (question.network, question.vlan)
            for kind, size in sizes[place]:
                what = {_FIRST: "vlan", _FULL: "size"}.get(kind, f"size{size}")
                reply = answered.get((question.vlan, kind))
                if reply is not None and reply.tag == way.tag:
                    said[f"{what} {question.network}/{question.vlan}"] = ""
                    macs[place] = reply.mac
                    continue
                large = f" a frame of {size} bytes" if size else ""
                small = f" (its MTU is {link.mtu})" if size and link and link.mtu < size else ""
                problem = f"{question.targets[0]} does not answer{large} on {trunk}{small} in VLAN {question.vlan}"
                said[f"{what} {question.network}/{question.vlan}"] = problem

    def _paths(self, asked: Sequence[tuple[Question, Way]], macs: Mapping[Place, str], said: dict[str, str]) -> None:
        """Through the segment's own stub, both programs and both map entries: the way a VM's frame takes. Ends at the
        first that fails: one is enough to take a change back."""
        for question, way in asked[:PATHS]:
            place = (question.network, question.vlan)
            if place not in macs or not way.stub:
                continue
            name = f"path {question.network}/{question.vlan}"
            each = Ask(question.vlan, None, question.targets[0], _PATH, to=macs[place])
            if self._ask(way.stub, [each], 2):
                said[name] = ""
            else:
                said[name] = f"{question.targets[0]} does not answer through {way.stub}"
                return

    def ahead(
        self, before: Look, ways: Mapping[Place, Way], to_be: Mapping[Place, Way], asked: Iterable[Question]
    ) -> str:
        """Ask on the trunk that is to come, before anything is touched: "" or why the change would cut a VLAN off that
        works now. A trunk that is still down cannot be asked, and then says nothing."""
        changed = [
            (q, to_be[q.network, q.vlan])
            for q in asked
            if (q.network, q.vlan) in to_be and f"vlan {q.network}/{q.vlan}" in before.passed and q.targets
        ]
        changed = [(q, way) for q, way in changed if not _same(ways.get((q.network, q.vlan)), way)]
        for trunk in sorted({way.trunk for _, way in changed}):
            link = self._host.netlink.find(trunk)
            if link is None or not link.up:
                continue
            said: dict[str, str] = {}
            here = [(q, way) for q, way in changed if way.trunk == trunk]
            self._vlans(trunk, here, 3, said, {}, before.jumbo)
            worse = Look(said).worse_than(before)
            if worse:
                return "; ".join(sorted(worse.values()))
        return ""


_SIZED = re.compile("^size[0-9]* ")


def _jumbo(asked: Iterable[tuple[Question, Way]], observed: Observed) -> dict[Place, int]:
    """The largest frame the trunk of each place takes, where that is more than 1500 bytes."""
    links = [(q, observed.by_name.get(way.trunk)) for q, way in asked]
    return {(q.network, q.vlan): link.mtu for q, link in links if link and link.mtu > FULL_SIZE}


def _sizes(jumbo: int) -> tuple[tuple[int, int], ...]:
    """Kinds and sizes to ask for: as small as it gets, 1500 bytes, and the trunk's own MTU when it is larger."""
    return ((_FIRST, 0), (_FULL, FULL_SIZE), *(((_JUMBO, jumbo),) if jumbo else ()))


def _same(now: Way | None, then: Way) -> bool:
    return now is not None and (now.trunk, now.tag) == (then.trunk, then.tag)
