"""Are an old rule base and its translation equal? Every class of packets is judged by both, at every NIC.

The answer is equal, different with the smallest differing packet and both paths, or not proven with the reason: when
there are more classes than the limit, a NIC has no known address, or would get no program. Then it is never equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bascule.translate.addresses import address_text
from bascule.translate.atoms import (
    Bits,
    ServiceAtom,
    address_starts,
    classes,
    holds,
    in_boxes,
    in_ranges,
    service_atoms,
)
from bascule.translate.calico import Translation
from bascule.translate.model import ICMP, OUT, RuleBase, Service
from bascule.translate.rows import NewSide, OldSide
from bascule.translate.world import PERMIT, REFUSE, Rows, World

EQUAL, DIFFERENT, NOT_PROVEN = "equal", "different", "not proven"
MAX_CLASSES = 2_000_000_000
WORDS = {PERMIT: "allow", REFUSE: "deny"}
_LOOKED_AT = 4096  # differing classes of one place among which the smallest is chosen


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, judged at `vm`'s NIC; addresses as numbers, for ICMP `ports` are type, code."""

    vm: str
    nic: str
    direction: str
    source: int
    destination: int
    protocol: int
    source_port: int
    destination_port: int

    @property
    def text(self) -> str:
        """`10.0.0.1 → 10.0.0.2 tcp/443, judged at web-1/net-0 OUT`."""
        low, high = self.source_port, self.destination_port
        service = Service(self.protocol, (low, low) if low or self.protocol == ICMP else (0, 65535), (high, high))
        ends = " → ".join(address_text(each) for each in (self.source, self.destination))
        return f"{ends} {service.text}, judged at {self.vm}/{self.nic} {self.direction}"


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A packet on which both sides differ, and the rules that each side goes through, the deciding one last."""

    packet: Packet
    old: str
    new: str
    old_path: tuple[str, ...]
    new_path: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """`classes` of packets were compared at `points` places (address of a NIC × direction); `differing` of them are
    judged differently."""

    verdict: str
    classes: int
    points: int
    seconds: float
    counterexample: Counterexample | None = None
    differing: int = 0
    reasons: tuple[str, ...] = ()


def prove(base: RuleBase, translation: Translation, max_classes: int = MAX_CLASSES) -> Proof:
    """Compare a rule base with its translation (or with what somebody made of it by hand)."""
    began = time.perf_counter()
    world = World(base)
    old, new = OldSide(base, world), NewSide(base, translation, world)
    reasons = _reasons(base, new)
    places = [at for at, point in enumerate(world.points) if new.judges(point)]
    lists = {at: (old.rows(at), new.rows(at)) for at in places}
    compare = _Comparison(world)
    total, differing = 0, 0
    worst: tuple[int, _Cell] | None = None
    for at, pair in lists.items():
        count, wrong, cell = compare(*pair)
        total, differing = total + count, differing + wrong
        if cell is not None and (worst is None or cell.rank < worst[1].rank):
            worst = at, cell
        if total > max_classes:
            reasons.append(f"more than {max_classes} classes of packets")
            break
    verdict = DIFFERENT if worst else NOT_PROVEN if reasons else EQUAL
    example = None
    if worst is not None:
        at, cell = worst
        before, after = compare.path(lists[at][0], cell, old.name), compare.path(lists[at][1], cell, new.name)
        example = Counterexample(_packet(base, world, at, cell), WORDS[cell.old], WORDS[cell.new], before, after)
    seconds = time.perf_counter() - began
    return Proof(verdict, total, len(places), seconds, example, differing, tuple(reasons))


def _reasons(base: RuleBase, new: NewSide) -> list[str]:
    """Why nothing can be proven about some part."""
    reasons = [f"{refused.ref} cannot be used: {refused.reason}" for refused in new.policies.refused]
    for nic, endpoint in zip(base.nics, new.endpoints, strict=True):
        if not nic.addresses:
            reasons.append(f"{nic.vm}/{nic.name} has no known IPv4 address: rules by address cannot be compared for it")
        elif endpoint.key in new.refused:
            reasons.append(f"{nic.vm}/{nic.name} would get no program: {new.refused[endpoint.key]}")
    return reasons


@dataclass(frozen=True, slots=True)
class _Cell:
    """A differing class; `rank` orders by how plain the packet is."""

    rank: tuple[int, ...]
    address: int
    service: ServiceAtom
    old: int
    new: int


_Result = tuple[int, int, _Cell | None]


class _Comparison:
    """Compares first-match lists over all classes that the rows of both sides can tell apart; equal pairs once."""

    def __init__(self, world: World) -> None:
        self._starts = address_starts(world.remotes)
        self._atoms = service_atoms({box for boxes in world.services for box in boxes})
        self._peers = np.stack([in_ranges(self._starts, ranges) for ranges in world.remotes], axis=1)
        self._services = np.stack([in_boxes(self._atoms, boxes) for boxes in world.services], axis=1)
        self._boxes = list(world.services)
        self._known: dict[tuple[bytes, bytes], _Result] = {}

    def __call__(self, old: Rows, new: Rows) -> _Result:
        """How many classes there are for two lists, in how many they differ, and the plainest of those."""
        columns = ["decision", "next", "remote", "service"]
        key = old[columns].tobytes(), new[columns].tobytes()
        if key not in self._known:
            self._known[key] = self._compare(old, new)
        return self._known[key]

    def _compare(self, old: Rows, new: Rows) -> _Result:
        both = np.concatenate([old, new])
        remotes, remote = np.unique(both["remote"], return_inverse=True)
        services, service = np.unique(both["service"], return_inverse=True)
        peers, first_peer = classes(self._peers[:, remotes])
        kinds, first_kind = classes(self._services[:, services])
        cut = len(old)
        one = judge(old, peers[:, remote[:cut]], kinds[:, service[:cut]])
        two = judge(new, peers[:, remote[cut:]], kinds[:, service[cut:]])
        wrong = one != two
        count = int(wrong.sum())
        if not count:
            return wrong.size, 0, None
        cells = [
            self._cell(int(first_peer[a]), int(first_kind[s]), int(one[a, s]), int(two[a, s]))
            for a, s in np.argwhere(wrong)[:_LOOKED_AT]
        ]
        return wrong.size, count, min(cells, key=lambda cell: cell.rank)

    def _cell(self, peer: int, kind: int, old: int, new: int) -> _Cell:
        atom, address = self._atoms[kind], int(self._starts[peer])
        rank = (atom.source, int(atom.protocol != 6), atom.protocol, atom.destination, int(address == 0), address)
        return _Cell(rank, address, atom, old, new)

    def path(self, rows: Rows, cell: _Cell, name: Callable[[int], str]) -> tuple[str, ...]:
        """The names of the rows that one packet meets; the last one decides."""
        where = int(np.searchsorted(self._starts, cell.address, side="right")) - 1
        names, resume = [], 0
        for at, row in enumerate(rows):
            boxes = self._boxes[row["service"]]
            if at < resume or not self._peers[where, row["remote"]]:
                continue
            if any(holds(box, cell.service) for box in boxes):
                names.append(name(int(row["name"])))
                if row["decision"]:
                    break
                resume = int(row["next"])
        return tuple(names)


def judge(rows: Rows, peers: Bits, kinds: Bits) -> NDArray[np.int8]:
    """[peer, kind] verdicts of a first-match list; column r of `peers` and of `kinds` says what row r matches."""
    verdicts = np.zeros((len(peers), len(kinds)), np.int8)
    resume = np.zeros(verdicts.shape, np.int32)
    jumps = bool((rows["decision"] == 0).any())
    said = zip(rows["decision"].tolist(), rows["next"].tolist(), strict=True)
    for at, (decision, following) in enumerate(said):
        where = np.ix_(np.flatnonzero(peers[:, at]), np.flatnonzero(kinds[:, at]))
        block = verdicts[where]
        free = block == 0
        if jumps:
            free &= resume[where] <= at
        if decision:
            verdicts[where] = np.where(free, decision, block)
        else:
            resume[where] = np.where(free, following, resume[where])
    return verdicts


def _packet(base: RuleBase, world: World, at: int, cell: _Cell) -> Packet:
    point = world.points[at]
    nic = base.nics[point.nic]
    vm = next((vm.name for vm in base.vms if vm.id == nic.vm), nic.vm)
    ends = (point.address, cell.address) if point.direction == OUT else (cell.address, point.address)
    atom = cell.service
    return Packet(vm, nic.name, point.direction, *ends, atom.protocol, atom.source, atom.destination)
