"""Evidence that the wizard asks the agents for: VLANs proven on trunks, and who answers for the VMs' addresses now.

Kept beside the state in the form of `trunks prove -o json` and `addresses check -o json`, and taken as the answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bascule.errors import RefusedError, UnreachableError
from bascule.migration.world import Seat
from bascule.trunks.proof import PROVEN
from bascule_console.services import estate as estates
from bascule_console.services.cluster import connect
from bascule_console.services.wizard.parts import few, plural

if TYPE_CHECKING:
    from bascule_console.services.run.wire import AgentWire
    from bascule_console.services.trunk_calls import TrunkAgents
    from bascule_console.services.wizard.wizard import Wizard
    from bascule_kube import Cluster

PROOFS, SEEN = "wizard-proofs.json", "wizard-seen.json"
AT_ONCE, ASK_S, ASK_MS = 8, 0.6, 200.0


async def prove(wizard: Wizard, target: str) -> str:
    """Prove every VLAN on every trunk now."""
    from bascule_console.services.trunks import matrix

    async with _reached(wizard) as (cluster, agents):
        rows, answers = await matrix(cluster, agents)
    _take(wizard, "assess.proofs", PROOFS, rows)
    proven = sum(1 for row in rows if row["verdict"] == PROVEN)
    silent = f"; silent: {few(sorted(answers.silent))}" if answers.silent else ""
    return f"{proven} of {len(rows)} proofs (VLAN and trunk) hold{silent}"


async def seen(wizard: Wizard, target: str) -> str:
    """Ask on each VLAN, by ARP from a node, who has the address of each VM. Raises RefusedError when none can be
    asked for."""
    from bascule_console.services.run.wire import AgentWire

    made = await wizard.made()
    seats = [seat for seat in made.world.seats if seat.vlan and seat.network and seat.ips] if made.world else []
    if not seats:
        cause = "no VM has an address on a VLAN that the cluster's Networks carry"
        raise RefusedError("there is no address to ask for", cause, "apply the Networks, or answer the addresses")
    async with _reached(wizard) as (cluster, agents):
        wire = AgentWire(cluster, agents)
        places = await wire.places()
        if not places:
            raise UnreachableError("nobody can ask", "no node has an agent", "bascule nodes list")
        limit = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(
            *(_heard(wire, places[-1], limit, seat, str(ip)) for seat in seats for ip in seat.ips)
        )
    _take(wizard, "assess.seen", SEEN, found)
    answering = sum(1 for each in found if each["seen"])
    return f"{answering} of {plural(len(found), 'address')} answer now".replace("addresss", "addresses")


async def _heard(wire: AgentWire, place: str, limit: asyncio.Semaphore, seat: Seat, ip: str) -> dict[str, Any]:
    from bascule_console.services.run.ends import Asked
    from bascule_console.services.run.wire import heard

    assert seat.network is not None and seat.vlan is not None
    async with limit:
        macs, _ = await heard(wire, place, Asked("arp", ip, seat.network.name, seat.vlan, ASK_MS), ASK_S)
    told = [{"mac": mac, "node": place} for mac in sorted(macs)]
    return {"ip": ip, "vlan": seat.vlan, "network": seat.network.name, "seen": told}


@asynccontextmanager
async def _reached(wizard: Wizard) -> AsyncIterator[tuple[Cluster, TrunkAgents]]:
    from bascule_console.services.trunk_calls import TrunkAgents

    assert wizard.access is not None
    async with connect(wizard.access) as cluster:
        agents = TrunkAgents(cluster.bearer_token)
        try:
            yield cluster, agents
        finally:
            await agents.close()


def _take(wizard: Wizard, name: str, file: str, rows: list[dict[str, Any]]) -> None:
    place = estates.estate_path().with_name(file)
    estates.write_whole(place, json.dumps(rows, indent=1) + "\n")
    wizard.take(name, str(place))
