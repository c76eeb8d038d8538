"""Flows for one question: from the agents' last minute, from their histories, or from a file; one store, one filter.

Agents leave out what surely does not match; names that only the console knows decide the rest here, so the answer is
the same wherever it comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bascule.flows.dropwindow import drop_rows
from bascule.flows.extent import Extent
from bascule.flows.filter import Filter
from bascule.flows.ledger import Ledger
from bascule.flows.store import Batch, FlowStore
from bascule.flows.surroundings import Surroundings, surroundings_of
from bascule_console.services.agents import Agents
from bascule_console.services.cluster import list_if_served
from bascule_console.services.flowfile import read_file
from bascule_console.services.reports import Answers, ask_all
from bascule_console.store.nodes import AgentTarget
from bascule_kube import Cluster
from bascule_kube.kinds import GLOBALNETWORKSET, NETWORK, NETWORKSET, NODE

ROOM = 1_000_000
LATE_S = 0.5  # a drain's length: what came a moment ago is still in the kernel's map


@dataclass
class Found:
    """What a question brought. `now_ns` is when it was asked, or when a file ends; `over_s` what it covers."""

    store: FlowStore
    wanted: Filter
    now_ns: int = 0
    over_s: float = 0.0
    extents: dict[str, Extent] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    problem: str = ""

    def __post_init__(self) -> None:
        self.ids = self.store.matching(self.wanted)

    @property
    def ledger(self) -> Ledger:
        """The ledger of the answer: what the filter left out, here or at the nodes, is `filtered`."""
        every = self.store.frames(self.store.matching(Filter()))
        return self.store.ledger.without(every - self.store.frames(self.ids))

    @property
    def drops(self) -> list[dict[str, Any]]:
        """What links dropped besides, since their agents started, as far as the filter keeps it."""
        return drop_rows(self.store.drops.told, self.wanted, self.store.names)


async def surroundings(cluster: Cluster) -> Surroundings:
    """The names of what is no VM."""
    sets: list[Mapping[str, Any]] = []
    for kind in (NETWORKSET, GLOBALNETWORKSET):
        sets += [{"kind": kind.kind, **each} for each in await list_if_served(cluster, kind)]
    return surroundings_of(await list_if_served(cluster, NETWORK), sets)


async def ask(cluster: Cluster, agents: Agents, wanted: Filter, *, last_s: float = 0.0, since_ns: int = 0) -> Found:
    """The agents' last `last_s` seconds, or with `since_ns` their histories. Silent nodes are named in `answers`."""
    store, extents = FlowStore(ROOM), dict[str, Extent]()
    store.set_surroundings(await surroundings(cluster))

    def take(batch: Batch) -> None:
        store.add(batch)
        if batch.extent is not None:
            extents[batch.node] = batch.extent

    answers = await each_batch(cluster, agents, wanted, take, since_ns, last_s)
    now_ns = time.time_ns()
    over_s = (now_ns - since_ns) / 1e9 if since_ns else last_s
    return Found(store, wanted, now_ns, over_s, extents, answers)


async def each_batch(
    cluster: Cluster,
    agents: Agents,
    wanted: Filter,
    take: Callable[[Batch], None],
    since_ns: int = 0,
    last_s: float = 0.0,
) -> Answers:
    """Every batch of every agent's answer, as it comes."""
    answers = Answers()
    nodes: Sequence[Mapping[str, Any]] = await cluster.list(NODE)

    async def one(agent: AgentTarget) -> bool:
        stream = agents.flows(agent, last_s, follow=False, wanted=wanted.text, since_ns=since_ns)
        async with aclosing(stream) as batches:
            async for batch in batches:
                take(batch)
        return True

    await ask_all([*nodes], one, answers)
    return answers


def open_file(path: Path, wanted: Filter) -> Found:
    """A recording or a capture. Raises UsageError for a file that is neither; one that breaks off says so."""
    store, read = FlowStore(ROOM), read_file(path)
    store.set_surroundings(read.around)
    first, last = 0, 0
    for batch in read.batches():
        store.add(batch)
        first, last = first or batch.time_ns, max(last, batch.time_ns)
    return Found(store, wanted, last, max(LATE_S, (last - first) / 1e9 + LATE_S), problem=read.problem)
