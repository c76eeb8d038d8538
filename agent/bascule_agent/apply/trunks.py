"""What operators ask of this node's trunks: proof, candidates, what a Network would do here, a word on a change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Set
from typing import Any

from bascule.errors import UsageError
from bascule.hostplan.desired import desire, needs_of
from bascule.hostplan.plan import plan
from bascule.resources.meta import Meta
from bascule.resources.network import Network
from bascule.trunks.blast import Traffic, blast
from bascule.trunks.candidates import candidates, worth_a_look
from bascule.trunks.questions import Question
from bascule_agent.apply.asking import Asking
from bascule_agent.apply.changes import Changes
from bascule_agent.apply.node import Node
from bascule_agent.apply.ports import Ports
from bascule_agent.flows.hub import Hub
from bascule_agent.probes.speed import speed_of
from bascule_agent.probes.trunk_proof import prove
from bascule_agent.probes.trunk_seen import seen
from bascule_agent.watch import Watch

LISTEN_MAX = 10.0
FLOW_SECONDS = 60.0
Obj = dict[str, Any]


class Trunks:
    """Serves TrunkProof, Candidates, Plan, Confirm and Rollback of one node."""

    def __init__(
        self, name: str, node: Node, watch: Watch, ports: Ports, asking: Asking, changes: Changes | None, hub: Hub
    ) -> None:
        self._name, self._node, self._watch, self._ports = name, node, watch, ports
        self._asking, self._changes, self._hub = asking, changes, hub

    async def prove(self, network: str, vlans: Set[int], mtu: int) -> list[Obj]:
        """The cells of this node; of one Network when named (UsageError when it is not there)."""
        documents = [d for d in self._watch.known().networks if network in ("", Meta.of(d).name)]
        if network and not documents:
            raise UsageError(f"there is no Network {network!r}", fix="bascule networks list")
        return await self._cells(documents, vlans, mtu)

    async def _cells(self, documents: list[Obj], vlans: Set[int], mtu: int) -> list[Obj]:
        observed = await self._node.observe()
        asked = self._questions([Network.of(document) for document in documents], vlans)
        cells = await asyncio.to_thread(prove, self._name, asked, observed.by_name.get, mtu)
        return [cell.as_dict() for cell in cells]

    def _questions(self, networks: list[Network], vlans: Set[int] = frozenset()) -> tuple[Question, ...]:
        known = self._watch.known()
        ports = {(nic.network, nic.vlan) for nic in known.nics}
        return self._asking.questions(networks, Meta.of(known.node).labels, ports, vlans)

    async def candidates(self, seconds: float) -> list[Obj]:
        """Links that could be a trunk; listens for tagged frames for `seconds` (at most 10)."""
        known, observed = self._watch.known(), await self._node.observe()
        ports = {view.ifindex for view in self._ports.views()}
        names = [link.name for link in worth_a_look(observed, ports)]
        vids = await asyncio.to_thread(seen, names, min(max(seconds, 0.0), LISTEN_MAX))
        speeds = {name: speed_of(name) for name in names}
        networks = map(Network.of, known.networks)
        found = candidates(observed, networks, Meta.of(known.node).labels, ports, speeds, vids)
        return [{"node": self._name, **each.as_dict()} for each in found]

    async def plan(self, document: str) -> Obj:
        """What this node would do with a Network as given (JSON, "" for all as they are), and whom it would touch."""
        known, observed = self._watch.known(), await self._node.observe()
        given = _document(document) if document else None
        documents = [d for d in known.networks if given is None or Meta.of(d).name != Meta.of(given).name]
        documents += [given] if given else []
        labels = Meta.of(known.node).labels
        desired = desire(map(Network.of, documents), self._name, labels, needs_of(known.nics), observed)
        steps = plan(desired, observed)
        name = Meta.of(given).name if given else ""
        about = [o for o in desired.outcomes if name in ("", o.network)]
        return {
            "node": self._name,
            "steps": [{"do": str(step), "undo": str(step.inverse())} for step in steps],
            "outcomes": [
                {"network": o.network, "ready": o.ok, "reason": o.reason, "message": o.message} for o in about
            ],
            "blast": blast(steps, desired, observed, known.nics, self._traffic()).as_dict(),
            "proof": await self._cells([given], frozenset(), 0) if given else [],
        }

    def _traffic(self) -> Traffic:
        """Of all ports here in the last minute: a trunk carries them all."""
        records = self._hub.history(FLOW_SECONDS)[0].records
        return Traffic(len(records), int(records["packets"].sum()), int(records["bytes"].sum()))

    def answer(self, change: str, keep: bool, who: str) -> Obj:
        """The operator's word (UsageError when no change of that id waits)."""
        if self._changes is None:
            raise UsageError(f"node {self._name} is in mode observe: it changes nothing")
        return self._changes.answer(change, keep, who).as_dict()

    def change(self) -> Obj:
        """For the report: the last change, and which wish each Network's accepted version came with."""
        if self._changes is None:
            return {"change": None, "accepted": {}}
        last = self._changes.last
        return {"change": last.as_dict() if last else None, "accepted": self._changes.accepted.wishes()}


def _document(text: str) -> Obj:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("network_json is no JSON", str(error)) from error
    if not isinstance(value, dict) or not Meta.of(value).name:
        raise UsageError("network_json is no Network with a name")
    return value
