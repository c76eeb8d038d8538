"""The list of rules; a rule registers itself with its id, the kind it looks at, and its severity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bascule.lint.finding import Finding, Problem, Severity
from bascule.lint.world import Document, World

Check = Callable[[Document, World], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`kind` is "" for a rule on every document, or a family such as "policy"; `summary` is the check's docstring."""

    id: str
    kind: str
    severity: Severity
    summary: str
    check: Check

    def findings(self, document: Document, world: World) -> Iterator[Finding]:
        """This rule's findings on one document."""
        if self.kind not in ("", document.kind, document.family or document.kind):
            return
        for problem in self.check(document, world):
            yield Finding(self.id, self.severity, document.ref, *problem)


REGISTERED: list[Rule] = []


def rule(identity: str, kind: str, severity: Severity = "error") -> Callable[[Check], Check]:
    """Register a check under an id of docs/findings.md."""

    def register(check: Check) -> Check:
        REGISTERED.append(Rule(identity, kind, severity, " ".join((check.__doc__ or "").split()), check))
        return check

    return register
