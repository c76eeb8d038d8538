"""Addresses as they are now: every claim, what the wire showed, and, when asked, whether something answers.

Asking is an agent's ICMP probe: from the vantage points that the cluster registers (contracts.md section 3), else from
the nodes' own agents.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from bascule.errors import BasculeError, UsageError
from bascule_console.services.agents import Agents
from bascule_console.services.cluster import list_if_served
from bascule_console.services.lists import load as load_kinds
from bascule_console.services.reports import Answers, ask_all, node_reports
from bascule_console.store.addresses import AddressBook, Answer, Place
from bascule_console.store.inventory import Inventory
from bascule_console.store.nodes import AgentTarget, agent_target
from bascule_console.store.reserved import Plan, ipv4
from bascule_console.store.sightings import Sightings
from bascule_console.store.store import Store
from bascule_console.store.vms import NODES
from bascule_kube import Cluster, Kind
from bascule_kube.errors import Forbidden, NotFound
from bascule_kube.kinds import CONFIGMAP, IPPOOL, NAD, NETWORK, NODE, VM, VMI, VMIM

IPRESERVATION = Kind("projectcalico.org", "v3", "ipreservations", "IPReservation", False)
KINDS = (NODE, NETWORK, NAD, IPPOOL, IPRESERVATION, VM, VMI, VMIM)
HISTORY_S = 60.0
PROBE_S, PROBE_EVERY_MS = 0.3, 100.0
PROBES_AT_ONCE = 16
Row = Mapping[str, Any]


class NoSuchAddress(BasculeError):
    """An address that nothing is known about."""


class Look:
    """Everything an address's life is told by, read once; `rows` may be asked again after probing."""

    def __init__(self, inventory: Inventory, reports: Mapping[str, Mapping[str, Any]], sightings: Sightings) -> None:
        self.inventory = inventory
        self._reports = reports
        self._sightings = sightings
        self._book = AddressBook(inventory)
        self.answers: dict[Place, Answer] = {}

    def places(self, name: str) -> list[Place]:
        """Where `name` may be asked for: the rows it means, else every VLAN whose subnet has the address.

        Raises NoSuchAddress, UsageError.
        """
        try:
            return list(choose(self.rows(), name))
        except NoSuchAddress:
            found: list[Place] = [(*segment, name) for segment in Plan(self.inventory).segments(name)]
            if not found:
                raise
            return found

    def rows(self) -> dict[Place, Row]:
        """The rows with the answers so far."""
        return self._book.rows(self._reports, self._sightings, self.answers)


async def look(cluster: Cluster, agents: Agents) -> tuple[Look, dict[str, str]]:
    """Read the cluster, the agents' reports and their last minute of flows; and the agents that were silent."""
    inventory = await load_kinds(cluster, KINDS)
    documents, answers = await node_reports(cluster, agents)
    sightings = Sightings()

    async def history(agent: AgentTarget) -> None:
        async with aclosing(agents.flows(agent, HISTORY_S, follow=False)) as batches:
            async for batch in batches:
                sightings.add(batch)

    also = Answers()
    await ask_all(inventory.all(NODES), history, also)
    reports = {str(document["name"]): document for document in documents}
    return Look(inventory, reports, sightings), {**also.silent, **answers.silent}


async def vantage_points(cluster: Cluster) -> list[AgentTarget]:
    """Where probes may start: the registered vantage points, else the nodes' agents."""
    points = []
    try:
        found = await cluster.get(CONFIGMAP, "vantage-points", "bascule-system")
    except (NotFound, Forbidden):
        found = {}
    for name, text in sorted((found.get("data") or {}).items()):
        try:
            target = json.loads(text).get("target", "")
        except (ValueError, AttributeError):
            continue
        if target:
            points.append(AgentTarget(name, str(target)))
    if points:
        return points
    return [agent for agent in map(agent_target, await list_if_served(cluster, NODE)) if agent is not None]


async def ask(
    agents: Agents, points: list[AgentTarget], places: Iterable[Place], told: Callable[[Place, Answer], None]
) -> None:
    """Probe every address, a few at a time, each from the first point that can; every answer is `told` as it comes."""
    limit = asyncio.Semaphore(PROBES_AT_ONCE)

    async def one(place: Place) -> None:
        async with limit:
            told(place, await _ask(agents, points, place[2]))

    await asyncio.gather(*map(one, places))


async def _ask(agents: Agents, points: list[AgentTarget], ip: str) -> Answer:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    problem = "no agent: the cluster registers no vantage point and no node has an agent"
    for point in points:
        try:
            probes = await agents.probe(point, ip, seconds=PROBE_S, interval_ms=PROBE_EVERY_MS)
        except BasculeError as error:
            problem = f"{error.message}: {error.cause}" if error.cause else error.message
            continue
        round_trips = [(rx_ns - tx_ns) / 1e6 for tx_ns, rx_ns in probes.values() if rx_ns is not None]
        return Answer(point.node, len(probes), len(round_trips), min(round_trips, default=None), at)
    return Answer("", at=at, error=problem)


def choose(rows: Mapping[Place, Row], name: str) -> dict[Place, Row]:
    """The rows that `name` means: an address, `NETWORK/VLAN/ADDRESS`, or a VM. Raises NoSuchAddress, UsageError."""
    found = {place: row for place, row in rows.items() if _means(place, row, name)}
    if found:
        return found
    if ipv4(name) is None and name.count("/") < 2 and any(char.isdigit() for char in name) and name.count(".") == 3:
        raise UsageError(f"{name!r} is no IPv4 address", fix="give one such as 10.110.0.11")
    raise NoSuchAddress(
        f"nothing is known about {name!r}",
        cause="no VM asks for it or has it, no subnet's next hop is it, and no agent has seen it in the last minute",
        fix="bascule addresses list; bascule addresses check asks the wire about any address of a VLAN",
    )


def _means(place: Place, row: Row, name: str) -> bool:
    network, vlan, ip = place
    return name in (ip, f"{network}/{vlan}/{ip}") or name in (row["vm"], f"{row['namespace']}/{row['vm']}")


async def ask_into(cluster: Cluster, agents: Agents, store: Store, places: Iterable[Place]) -> None:
    """Probe every address and keep each answer in the store. Raises Unreachable when vantage points cannot be read."""
    await ask(agents, await vantage_points(cluster), places, store.keep_answer)
