"""One connection explained: the verdict, both sides' verdicts and every step. Pure; for the verb and the dialog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.policy.explain import Step, explain, pending
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule_console.services.policies import end, flow
from bascule_console.store.policyworld import World


@dataclass(frozen=True, slots=True)
class Explained:
    """`source` and `destination` are addresses; a side's verdict is None when it is no endpoint known here; `pending`
    is the verdict with every staged policy promoted."""

    source: str
    destination: str
    service: str
    verdict: str
    sides: Mapping[str, str | None]
    pending: str
    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of `policies explain`."""
        ends = {"from": self.source, "to": self.destination, "service": self.service}
        found = {"verdict": self.verdict, "sides": dict(self.sides), "pending": self.pending}
        return {**ends, **found, "steps": [step.as_dict() for step in self.steps]}


def explained(
    world: World, source: str, destination: str, service: str, policies: PolicySet | None = None
) -> Explained:
    """Explain under the cluster's policy, or under another set. Raises NoSuchEnd and UsageError."""
    (one_end, one), (two_end, two) = (end(world.endpoints, each) for each in (source, destination))
    asked = flow(one, two, service)
    judge = Judge(policies if policies is not None else world.live, world.endpoints)
    found = judge.connection(asked, one_end, two_end)
    sides = {"source": found.source, "destination": found.destination}
    return Explained(
        one,
        two,
        service,
        found.action,
        {side: verdict.action if verdict else None for side, verdict in sides.items()},
        pending(judge, asked),
        tuple(explain(judge, found)),
    )
