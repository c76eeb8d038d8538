"""The outside of the trunk: every VLAN in use is asked twice a second, and one that falls silent is named.

Only a VLAN that answered before can fall silent: one whose gateway never spoke proves nothing. Two silent rounds are a
fault (a lost frame is not), one answer clears it. Asked is by unicast to whoever answered last, so that a steady watch
is no broadcast; more than VLANS are asked in turns. The link itself tells of its carrier by event, not by asking.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bascule.trunks.health import Fault
from bascule.trunks.questions import Place, Question
from bascule_agent.apply.checks import Way
from bascule_agent.netlink import Link
from bascule_agent.probes.errors import ProbeSocketError
from bascule_agent.probes.trunk import Ask, Reply, ask
from bascule_agent.probes.trunk_proof import unusable

ROUND_SECONDS = 0.5
WAIT_SECONDS = 0.3
SILENT_ROUNDS = 2
VLANS = 64
_WATCH, _OTHER_TAG, _UNTAGGED = 8, 9, 10


@dataclass
class Heard:
    """One VLAN: who answered last and when (Unix time), how many rounds it has been silent since."""

    mac: str
    at: float
    silent: int = 0


class Wire:
    """The faults of the trunks of one node. `ways` and `questions` are what is in use now; `on_change` runs in the loop
    whenever the faults differ."""

    def __init__(self, node: str, find: Callable[[str], Link | None], on_change: Callable[[], None]) -> None:
        self._node, self._find, self._on_change = node, find, on_change
        self._heard: dict[Place, Heard] = {}
        self._asked: tuple[tuple[Question, Way], ...] = ()
        self._turn = 0
        self._wake = asyncio.Event()
        self.faults: tuple[Fault, ...] = ()

    def use(self, questions: Sequence[Question], ways: dict[Place, Way]) -> None:
        """What is in use, after each pass."""
        self._asked = tuple((q, ways[q.network, q.vlan]) for q in questions if (q.network, q.vlan) in ways)
        places = {(question.network, question.vlan) for question, _ in self._asked}
        self._heard = {place: heard for place, heard in self._heard.items() if place in places}

    def link_changed(self) -> None:
        """A link event: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            began = time.monotonic()
            faults = await asyncio.to_thread(self._round)
            if _words(faults) != _words(self.faults):
                since = {_word(fault): fault.since_ns for fault in self.faults}
                self.faults = tuple(_since(fault, since) for fault in faults)
                self._on_change()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.05, began + ROUND_SECONDS - time.monotonic()))
            self._wake.clear()

    def _round(self) -> list[Fault]:
        faults = []
        for trunk in sorted({way.trunk for _, way in self._asked}):
            here = [(question, way) for question, way in self._asked if way.trunk == trunk]
            why = unusable(trunk, self._find(trunk))
            if why:
                networks = sorted({question.network for question, _ in here})
                fix = "look at the cable and the switch port"
                faults += [Fault(network, "TrunkDown", why, f"link {trunk}", fix) for network in networks]
                continue
            faults += self._listen(trunk, here)
        return faults

    def _listen(self, trunk: str, here: Sequence[tuple[Question, Way]]) -> list[Fault]:
        at = self._turn % max(len(here), 1)
        turn = [*here[at:], *here[:at]][:VLANS]
        self._turn += VLANS if len(here) > VLANS else 0
        asks = {}
        for question, way in turn:
            known = self._heard.get((question.network, question.vlan))
            if question.targets:
                to = known.mac if known and not known.silent else ""
                asks[question] = Ask(question.vlan, way.tag, question.targets[0], _WATCH, to=to)
        replies = {reply.ask.vlan: reply for reply in self._ask(trunk, list(asks.values()))}
        for question, way in turn:
            if question in asks:
                self._note(question, way, replies.get(question.vlan))
        return self._judge(trunk, here)

    def _ask(self, trunk: str, asks: list[Ask]) -> tuple[Reply, ...]:
        try:
            return ask(self._node, trunk, asks, attempts=1, wait=WAIT_SECONDS).replies
        except ProbeSocketError:
            return ()

    def _note(self, question: Question, way: Way, reply: Reply | None) -> None:
        place = (question.network, question.vlan)
        if reply is not None and reply.tag == way.tag:
            self._heard[place] = Heard(reply.mac, time.time())
        elif place in self._heard:
            self._heard[place].silent += 1

    def _judge(self, trunk: str, here: Sequence[tuple[Question, Way]]) -> list[Fault]:
        silent = []
        for question, way in here:
            heard = self._heard.get((question.network, question.vlan))
            if heard and heard.silent >= SILENT_ROUNDS:
                silent.append((question, way, heard))
        if not silent:
            return []
        spoken = [q.vlan for q, _ in here if (h := self._heard.get((q.network, q.vlan))) and not h.silent]
        natives = self._wrong_native(trunk, [(q, way) for q, way, _ in silent], here)
        return [self._fault(trunk, q, way, heard, spoken, natives) for q, way, heard in silent]

    def _wrong_native(
        self, trunk: str, silent: Sequence[tuple[Question, Way]], here: Sequence[tuple[Question, Way]]
    ) -> dict[int, str]:
        """Why a silent VLAN is silent, where its tag is the cause: it answers tagged the other way, or untagged frames
        land in another VLAN."""
        asks = [Ask(q.vlan, q.vlan if way.tag is None else None, q.targets[0], _OTHER_TAG) for q, way in silent]
        native = any(way.tag is None for _, way in silent)
        asks += [Ask(q.vlan, None, q.targets[0], _UNTAGGED) for q, way in here if native and way.tag and q.targets]
        found: dict[int, str] = {}
        for reply in self._ask(trunk, asks):
            how = "untagged" if reply.ask.tag is None else "tagged"
            if reply.ask.kind == _OTHER_TAG:
                found[reply.ask.vlan] = f"VLAN {reply.ask.vlan} answers {how}"
            else:
                for question, way in silent:
                    if way.tag is None:
                        found[question.vlan] = f"untagged frames land in VLAN {reply.ask.vlan}"
        return found

    def _fault(
        self, trunk: str, question: Question, way: Way, heard: Heard, spoken: list[int], natives: dict[int, str]
    ) -> Fault:
        last = time.strftime("%H:%M:%S", time.localtime(heard.at))
        evidence = f"{question.targets[0]} ({heard.mac}) answered on VLAN {question.vlan} until {last}"
        if question.vlan in natives:
            message = f"the switch port of {trunk} has another native VLAN: {natives[question.vlan]}"
            return Fault(question.network, "NativeMismatch", message, evidence, "set the port's native VLAN back")
        if spoken:
            message = f"VLAN {question.vlan} is silent on {trunk}, while VLAN {spoken[0]} answers"
            fix = f"look whether the switch port of {trunk} still carries VLAN {question.vlan}"
            return Fault(question.network, "VlanSilent", message, evidence, fix)
        message = f"VLAN {question.vlan} is silent on {trunk}, and so is every other: the switch or its uplink"
        return Fault(question.network, "TrunkSilent", message, evidence, "look at the switch port and its uplink")


def _word(fault: Fault) -> tuple[str, str, str]:
    return fault.network, fault.reason, fault.message


def _words(faults: Sequence[Fault]) -> list[tuple[str, str, str]]:
    return sorted(_word(fault) for fault in faults)


def _since(fault: Fault, since: dict[tuple[str, str, str], int]) -> Fault:
    return replace(fault, since_ns=since.get(_word(fault), time.time_ns()))
