"""`bascule assess`: the four questions and every check on one estate; two dates can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.migration.answers import Answer
from bascule.migration.checks import CHECKS, OK, UNKNOWN, VERDICTS, WARNING, Check, Result
from bascule.migration.checks.registry import COUNTED, ESTATE
from bascule.migration.questions import ASK, Question, questions
from bascule.migration.world import World

FORMAT = "bascule-assessment/1"


@dataclass(frozen=True, slots=True)
class Judged:
    """One check with everything that is not in order, worst first; `answered` results were settled by the operator."""

    check: Check
    counted: int
    results: tuple[Result, ...]
    answered: int

    @property
    def verdict(self) -> str:
        """The worst of its results; unknown too when there was nothing to look at."""
        return max((each.verdict for each in self.results), key=VERDICTS.index, default=OK)

    @property
    def evidence(self) -> str:
        """One sentence."""
        if not self.results:
            settled = f"; {self.answered} settled by the operator" if self.answered else ""
            return f"{self.check.good} ({self.counted} {self.check.of} looked at{settled})"
        first = self.results[0]
        more = f" (and {len(self.results) - 1} more)" if len(self.results) > 1 else ""
        about = "" if first.object == ESTATE else f"{first.object}: "
        return f"{about}{first.evidence}{more}"


@dataclass(frozen=True, slots=True)
class Assessment:
    """`at` is when, ISO 8601, as the caller's clock says; `vms` is VM key → (name, verdict)."""

    at: str
    sources: tuple[str, ...]
    questions: tuple[Question, ...]
    judged: tuple[Judged, ...]
    vms: Mapping[str, tuple[str, str]]

    @property
    def verdict(self) -> str:
        """The worst of all checks."""
        return max((each.verdict for each in self.judged), key=VERDICTS.index, default=OK)

    def count(self, verdict: str) -> int:
        """How many checks came out so."""
        return sum(1 for each in self.judged if each.verdict == verdict)


def assess(world: World, at: str) -> Assessment:
    """Judge a world. The same world gives the same assessment but for `at`."""
    judged = tuple(_judge(world, each) for each in CHECKS.values())
    vms = {vm.key: (vm.name, OK) for vm in world.vms}
    for each in judged:
        for result in each.results:
            if result.vm in vms:
                name, before = vms[result.vm]
                vms[result.vm] = name, max(before, result.verdict, key=VERDICTS.index)
    sources = tuple(f"{source.name} {source.sha256[:12]}" for source in world.estate.sources)
    return Assessment(at, sources, tuple(questions(world)), judged, vms)


def _judge(world: World, check: Check) -> Judged:
    given = world.answers.checks.get(check.id)
    names = {vm.key: vm.name for vm in world.vms} if given else {}
    kept, answered = [], 0
    for result in check.body(world):
        said = _answer(given, result, names)
        if said is None or result.verdict not in (UNKNOWN, WARNING):
            kept.append(result)
        elif said:
            note = f": {given.note}" if given and given.note else ""
            kept.append(result._replace(verdict=WARNING, evidence=f"{result.evidence}; the operator says yes{note}"))
        else:
            answered += 1
    kept.sort(key=lambda each: -VERDICTS.index(each.verdict))
    return Judged(check, COUNTED[check.of](world), tuple(dict.fromkeys(kept)), answered)


def _answer(given: Answer | None, result: Result, names: Mapping[str, str]) -> bool | None:
    if given is None:
        return None
    return given.objects.get(result.object, given.of(names.get(result.vm, result.object)))


def as_dict(found: Assessment) -> dict[str, Any]:
    """The JSON form."""
    return {
        "format": FORMAT,
        "at": found.at,
        "sources": list(found.sources),
        "verdict": found.verdict,
        "counts": {verdict: found.count(verdict) for verdict in VERDICTS},
        "questions": [
            {
                "id": each.id,
                "text": each.text,
                "answer": each.answer,
                "evidence": list(each.evidence),
                "vms": list(each.vms),
            }
            for each in found.questions
        ],
        "checks": [
            {
                "id": each.check.id,
                "title": each.check.title,
                "verdict": each.verdict,
                "looked_at": each.counted,
                "of": each.check.of,
                "evidence": each.evidence,
                "ask": each.check.ask if each.verdict in (UNKNOWN, WARNING) else "",
                "results": [
                    {
                        "object": one.object,
                        "verdict": one.verdict,
                        "evidence": one.evidence,
                        "fix": one.fix,
                        "vm": one.vm,
                    }
                    for one in each.results
                ],
            }
            for each in found.judged
        ],
        "vms": [{"key": key, "name": name, "verdict": verdict} for key, (name, verdict) in found.vms.items()],
    }


def open_questions(found: Assessment) -> dict[str, Any]:
    """A file of answers with everything that only the operator can answer, every answer left empty."""
    asked = {each.id: {"answer": None, "note": ""} for each in found.questions if each.answer == ASK}
    checks = {
        each.check.id: {"answer": None, "note": each.check.ask}
        for each in found.judged
        if each.check.ask and each.verdict in (UNKNOWN, WARNING)
    }
    return {"questions": asked, "checks": checks, "port_groups": {}, "subnets": {}}
