"""The console's view of policy: the world as last read, what agents count per rule, and who wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bascule_console.store.topics import POLICIES, Topics

if TYPE_CHECKING:
    from bascule_console.store.policyworld import World

RuleKey = tuple[str, str, str, str, int]
"""Kind, namespace, name, direction, index of a rule; index -1 is the end of a tier."""


@dataclass(frozen=True)
class Hits:
    """What agents counted: packets by rule since each agent loaded it. `nodes` answered; `refused` are NICs that keep
    their last good program, with the reason."""

    packets: Mapping[RuleKey, int] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: RuleKey) -> int | None:
        """Packets of one rule, 0 when it was never hit; None while no agent counts."""
        return self.packets.get(key, 0) if self.nodes else None


class PolicyBook:
    """`world` is None until it was read; it is read from the first `want` on."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.world: World | None = None
        self.hits = Hits()
        self.wanted = False

    def want(self) -> None:
        """Somebody looks: begin to read."""
        self.wanted = True

    def keep(self, world: World) -> None:
        """The world as it is now."""
        self.world = world
        self._topics.touch(POLICIES)

    def keep_hits(self, hits: Hits) -> None:
        """What agents count now."""
        if hits != self.hits:
            self.hits = hits
            self._topics.touch(POLICIES)

    def worked_out(self) -> None:
        """Something about the same world is known now that was not: the effect of rules."""
        self._topics.touch(POLICIES)
