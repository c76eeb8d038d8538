"""The checks: one function each, that yields what is not in order. What it does not speak of is in order.

`@check(id, of, title, good, ask)`: `of` is what it looks at (a key of COUNTED), `good` the evidence when nothing is
wrong, `ask` what the operator is asked where nothing tells; yes is the answer that needs attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bascule.migration.world import World

OK, UNKNOWN, WARNING, ERROR = "ok", "unknown", "warning", "error"
VERDICTS = (OK, UNKNOWN, WARNING, ERROR)
"""From the best to the worst."""
ESTATE = "estate"
"""The object of a result that is about all of it."""


class Result(NamedTuple):
    """One thing that is not in order, or not known. `vm` is the key of the VM it is about, "" for others."""

    object: str
    verdict: str
    evidence: str
    fix: str
    vm: str = ""


Body = Callable[[World], Iterator[Result]]


@dataclass(frozen=True, slots=True)
class Check:
    """One readiness question."""

    id: str
    of: str
    title: str
    good: str
    ask: str
    body: Body


CHECKS: dict[str, Check] = {}
COUNTED: dict[str, Callable[[World], int]] = {
    "VMs": lambda world: len(world.vms),
    "NICs": lambda world: len(world.seats),
    "port groups": lambda world: len(world.used_groups),
    "Networks": lambda world: len(world.target.networks),
    "pools": lambda world: len(world.target.pools),
    "cluster": lambda world: int(world.target.known),
}


def check(identity: str, of: str, title: str, good: str, ask: str = "") -> Callable[[Body], Body]:
    """Register a check; ids are unique and stay: reports of two dates are compared by them."""

    def register(body: Body) -> Body:
        assert identity not in CHECKS and of in COUNTED, identity
        CHECKS[identity] = Check(identity, of, title, good, ask, body)
        return body

    return register


def untold(names: Sequence[str], what: str) -> Iterator[Result]:
    """One result for everything of which no source tells `what`; none when every source does."""
    if names:
        several = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
        told = f"of {len(names)} the sources do not tell {what}: {several}"
        yield Result(ESTATE, UNKNOWN, told, "import a source that does (RVTools with all sheets), or answer it")


def no_cluster(what: str) -> Result:
    """The result of a check that needs the cluster's documents when there are none."""
    return Result(ESTATE, UNKNOWN, f"no cluster was looked at: {what}", "run it with --context, or with --cluster FILE")
