"""Carry out a plan step by step so that a failure stays with its Network: the others' steps go on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from bascule.errors import BasculeError
from bascule.hostplan.desired import Desired
from bascule.hostplan.names import Role, link_name
from bascule.hostplan.observed import Observed
from bascule.hostplan.steps import Step

log = logging.getLogger("bascule_agent")

ROLES: tuple[Role, ...] = ("b", "s", "x")
_LINK_FIELDS = ("name", "stub", "link", "peer", "bridge", "trunk")


@dataclass
class Outcome:
    """`done` steps in order; `failed`: Network ("" when no Network can be named) → the step and its error."""

    done: list[Step] = field(default_factory=list)
    failed: dict[str, tuple[Step, BasculeError]] = field(default_factory=dict)


def owners(desired: Desired, observed: Observed) -> dict[str, str]:
    """link name → Network, of every link that steps may speak of: ours now, ours to be, and trunks."""
    found: dict[str, str] = {link.name: link.owner.network for link in observed.links if link.owner}
    for segment in desired.segments:
        found.update((link_name(role, segment.network, segment.vid), segment.network) for role in ROLES)
        if segment.trunk:
            found[segment.trunk] = segment.network
    for bridge in desired.bridges:
        found.update((name, bridge.network) for name in (bridge.name, bridge.trunk) if name)
    return found


def network_of(step: Step, owned: dict[str, str]) -> str:
    """The Network a step serves, "" when none of its links is known (an entry whose link is gone)."""
    named = (getattr(step, name, None) for name in _LINK_FIELDS)
    return next((owned[link] for link in named if isinstance(link, str) and link in owned), "")


async def carry_out(
    steps: Iterable[Step], owned: dict[str, str], execute: Callable[[Step], Awaitable[None]]
) -> Outcome:
    """Execute the steps in order. After a failure the same Network's later steps are left out: they build on it."""
    outcome = Outcome()
    for step in steps:
        network = network_of(step, owned)
        if network in outcome.failed:
            continue
        try:
            await execute(step)
        except BasculeError as error:
            log.error("step failed for Network %s: %s: %s", network or "-", step, error)
            outcome.failed[network] = (step, error)
        else:
            log.info("step: %s", step)
            outcome.done.append(step)
    return outcome
