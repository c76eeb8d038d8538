"""The four questions that come before any check, answered from evidence where there is any.

What was answered by hand counts, with its note; the evidence stands beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bascule.estate.model import TRUNK
from bascule.migration.world import World

YES, NO, ASK = "yes", "no", "unknown, ask"
_MOST = 5


@dataclass(frozen=True, slots=True)
class Question:
    """`answer` is yes, no or "unknown, ask"; `vms` are the names it is about, sorted."""

    id: str
    text: str
    answer: str
    evidence: tuple[str, ...]
    vms: tuple[str, ...]
    why: str


Found = tuple[str, list[str], Iterable[str]]


def questions(world: World) -> list[Question]:
    """All four, in their order."""
    found = []
    for identity, (text, why, body) in _ALL.items():
        answer, evidence, vms = body(world)
        given = world.answers.questions.get(identity)
        if given is not None and given.value is not None:
            answer = YES if given.value else NO
            evidence = [f"answered by the operator{': ' + given.note if given.note else ''}", *evidence]
        if given is not None:
            vms = {*vms, *(name for name, yes in given.objects.items() if yes)}
            vms = {name for name in vms if given.objects.get(name, True)}
        found.append(Question(identity, text, answer, tuple(evidence), tuple(sorted(set(vms))), why))
    return found


def _vlan_policy(world: World) -> Found:
    tagging = [seat for seat in world.seats if seat.group and seat.group.vlan.kind == TRUNK]
    evidence = [f"{len(tagging)} NICs tag by themselves"] if tagging else []
    names = {seat.vm.name for seat in tagging}
    if world.talks is None:
        return (YES if tagging else ASK), [*evidence, "no flows were recorded"], names
    vlan = {ip: (seats[0].vlan, seats[0].vm.name) for ip, seats in world.by_ip.items()}
    crossing: Counter[tuple[int, int]] = Counter()
    for talk in world.talks:
        (a, one), (b, other) = vlan.get(talk.src, (None, "")), vlan.get(talk.dst, (None, ""))
        if a and b and a != b:
            crossing[min(a, b), max(a, b)] += 1
            names |= {one, other}
    evidence += [
        f"VLAN {a} ↔ {b}: {number} conversations pass the router" for (a, b), number in crossing.most_common(5)
    ]
    if not names:
        evidence.append("no recorded conversation crosses VLANs")
    return (YES if names else NO), evidence, names


def _readdressing(world: World) -> Found:
    if world.talks is None:
        return ASK, ["no flows were recorded: who talks to the VMs is not known"], ()
    peers: dict[str, set[str]] = defaultdict(set)
    names = {vm.key: vm.name for vm in world.vms}
    for talk in world.talks:
        here, there = world.owners.get(talk.dst), world.owners.get(talk.src)
        if here and here != there:
            peers[here].add(talk.src)
    outside = {ip for found in peers.values() for ip in found if ip not in world.owners}
    most = sorted(peers.items(), key=lambda each: (-len(each[1]), names[each[0]]))[:_MOST]
    evidence = [f"{len(peers)} VMs are spoken to by address, by {len(outside)} machines outside the estate too"]
    evidence += [f"{names[key]} by {len(found)} peers" for key, found in most]
    return (YES if peers else NO), evidence, (names[key] for key in peers)


def _adjacency(world: World) -> Found:
    count = Counter(seat.vlan for seat in world.seats if seat.vlan)
    shared = {vid for vid, number in count.items() if number > 1}
    if not shared:
        return (NO if count else ASK), ["no VLAN holds more than one NIC" if count else "no VLAN is known"], ()
    inside: Counter[int] = Counter()
    names: set[str] = set()
    vlan = {ip: (seats[0].vlan, seats[0].vm.name) for ip, seats in world.by_ip.items()}
    for talk in world.talks or ():
        (a, one), (b, other) = vlan.get(talk.src, (None, "")), vlan.get(talk.dst, (None, ""))
        if a and a == b and one != other:
            inside[a] += 1
            names |= {one, other}
    evidence = [f"VLAN {vid}: {count[vid]} NICs, {inside[vid]} conversations inside" for vid in sorted(shared)[:_MOST]]
    if names:
        return YES, evidence, names
    if world.talks is None:
        return ASK, [*evidence, "no flows were recorded: needed unless each VLAN moves as a whole"], ()
    return NO, [*evidence, "nobody was recorded talking inside a VLAN"], ()


def _observability(world: World) -> Found:
    talks = "none" if world.talks is None else str(len(world.talks))
    return ASK, [f"conversations recorded so far: {talks}; whether records must be kept only you know"], ()


_ALL: dict[str, tuple[str, str, Callable[[World], Found]]] = {
    "vlan-policy": (
        "Which VMs depend on VLAN tags for firewall policy?",
        "their rules have to be carried over as policy before they move",
        _vlan_policy,
    ),
    "readdressing": (
        "Would re-addressing touch load balancers or hard-coded peers?",
        "that is what keeping the address saves; these are the machines to watch after the move",
        _readdressing,
    ),
    "l2-adjacency": (
        "Is L2 adjacency to the old side needed during a phased move?",
        "both sides must be on the same VLANs until the last wave",
        _adjacency,
    ),
    "observability": (
        "Is observability required?",
        "flow records are switched on before the first wave, so that there is a before",
        _observability,
    ),
}
QUESTIONS = tuple(_ALL)
"""Their ids."""
