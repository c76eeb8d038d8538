"""The proof of a node's trunks: ask, look why nobody answered, judge. Blocking; in the caller's network namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from bascule.trunks.proof import FULL_SIZE, PROVEN, Answered, Cell, Facts, failed_cells, judge
from bascule.trunks.questions import Question
from bascule_agent.probes.errors import ProbeSocketError
from bascule_agent.probes.trunk import Ask, Asked, ask
from bascule_agent.probes.trunk_seen import seen

LISTEN_SECONDS = 0.5


class Link(Protocol):
    """What is asked of a trunk's link: netlink's Link or hostplan's ObservedLink."""

    @property
    def up(self) -> bool: ...
    @property
    def carrier(self) -> bool: ...
    @property
    def mtu(self) -> int: ...


_FIRST, _FULL, _LOWEST, _UNTAGGED = 0, 1, 2, 3
_NEXT = 4


def prove(
    node: str, questions: Sequence[Question], find: Callable[[str], Link | None], mtu: int = 0, listen: bool = True
) -> list[Cell]:
    """One cell per question. `find` gives a link by name; `mtu` is the lowest that any node reports, asked beside 1500
    (0: the trunk's own); `listen` looks for frames of VLANs where nobody answered (0.5 s, only then)."""
    cells = []
    for trunk in dict.fromkeys(question.trunk for question in questions):
        mine = [question for question in questions if question.trunk == trunk]
        link = find(trunk)
        why = unusable(trunk, link)
        if not why and link is not None:
            try:
                cells += _trunk(node, trunk, mine, mtu or link.mtu, listen)
                continue
            except ProbeSocketError as error:
                why = f"{trunk} cannot be asked: {error.cause}"
        for question in mine:
            cells += failed_cells(node, question.network, (question.vlan,), why)
    return sorted(cells)


def unusable(trunk: str, link: Link | None) -> str:
    """Why this link carries nothing, "" when nothing speaks against it."""
    if link is None:
        return f"trunk {trunk} does not exist on this node"
    if not link.up:
        return f"trunk {trunk} is down"
    return "" if link.carrier else f"trunk {trunk} has no carrier: cable or switch port"


def native_of(questions: Iterable[Question]) -> int | None:
    """The VLAN of the trunk's untagged frames, by its questions."""
    return next((question.vlan for question in questions if question.tag is None), None)


def first_asks(question: Question) -> list[Ask]:
    """One ask per target, each of its own kind."""
    kinds = (_FIRST, _NEXT, _NEXT + 1, _NEXT + 2)
    return [
        Ask(question.vlan, question.tag, target, kind) for target, kind in zip(question.targets, kinds, strict=False)
    ]


def _trunk(node: str, trunk: str, questions: Sequence[Question], mtu: int, listen: bool) -> list[Cell]:
    native = native_of(questions)
    round_ = ask(node, trunk, [each for question in questions for each in first_asks(question)])
    answers = {question: _answers(question, round_, native) for question in questions}
    sizes = _sizes(node, trunk, answers, mtu)
    silent = [question for question in questions if not answers[question]]
    wrong = _wrong_native(node, trunk, silent, questions)
    vids = seen([trunk], LISTEN_SECONDS)[trunk] if listen and silent else set()
    cells = []
    for question in questions:
        facts = Facts(
            trunk=trunk,
            asked=question.targets,
            answers=answers[question],
            sizes=sizes.get(question),
            seen=question.vlan in vids,
            untagged=question.tag is None,
            wrong_native=wrong if question.tag is None else 0,
        )
        cells.append(judge(node, question.network, question.vlan, facts))
    return cells


def _answers(question: Question, round_: Asked, native: int | None) -> tuple[Answered, ...]:
    found = [reply for reply in round_.replies if reply.ask.vlan == question.vlan]
    found.sort(key=lambda reply: question.targets.index(reply.ask.target))
    return tuple(Answered(r.ask.target, r.mac, native if r.tag is None else r.tag) for r in found)


def _sizes(
    node: str, trunk: str, answers: Mapping[Question, tuple[Answered, ...]], mtu: int
) -> dict[Question, dict[int, bool | None]]:
    """What passes, asked of whoever answered: 1500, and the lowest MTU anybody reports."""
    asks: dict[tuple[Question, int], Ask] = {}
    for question, answered in answers.items():
        good = next((answer for answer in answered if answer.vlan == question.vlan), None)
        for kind, size in ((_FULL, FULL_SIZE), (_LOWEST, mtu)) if good else ():
            if kind == _FULL or size != FULL_SIZE:
                asks[question, size] = Ask(question.vlan, question.tag, good.target if good else "", kind, size)
    round_ = ask(node, trunk, list(asks.values()))
    found: dict[Question, dict[int, bool | None]] = {}
    for (question, size), each in asks.items():
        passed = None if each in round_.too_large else round_.of(each) is not None
        found.setdefault(question, {})[size] = passed
    return found


def _wrong_native(node: str, trunk: str, silent: Sequence[Question], questions: Sequence[Question]) -> int:
    """Where untagged frames land when the native VLAN is silent: the VLAN whose gateway answers one; 0 for nowhere."""
    if not any(question.tag is None for question in silent):
        return 0
    others = [Ask(q.vlan, None, q.targets[0], _UNTAGGED) for q in questions if q.tag is not None and q.targets]
    answered = {reply.ask.vlan for reply in ask(node, trunk, others, attempts=2).replies}
    return min(answered, default=0)


def proven(cells: Iterable[Cell]) -> frozenset[int]:
    """The VLANs that are proven."""
    return frozenset(cell.vlan for cell in cells if cell.verdict == PROVEN)
