"""The store: everything the console knows, in one place. Services write it, screens and verbs read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bascule_console.store.flows import Flows
from bascule_console.store.inventory import Inventory
from bascule_console.store.journal import JournalView
from bascule_console.store.movebook import MoveBook
from bascule_console.store.nodereports import NodeReports
from bascule_console.store.policybook import PolicyBook
from bascule_console.store.rights import Rights
from bascule_console.store.sightings import Sightings
from bascule_console.store.topics import ADDRESSES, AGENTS, FINDINGS, JOURNAL, MOVES, Topics
from bascule_console.store.trunks import TrunkBook
from bascule_console.store.vmtable import VmSource

if TYPE_CHECKING:
    from bascule.flows.store import Batch
    from bascule.lint import Finding
    from bascule_console.store.addresses import Answer, Place


class Store:
    """Inventory, flows, silent agents and the last move; each change touches its topic."""

    def __init__(self) -> None:
        self.topics = Topics()
        self.inventory = Inventory(self.topics)
        self.flows = Flows(self.topics)
        self.vms = VmSource(self.topics, self.inventory)
        self.rights = Rights(self.topics)
        self.silent: dict[str, str] = {}
        self.heard_at_ns: dict[str, int] = {}
        self.records: dict[str, Mapping[str, Any]] = {}
        self.findings: tuple[Finding, ...] | None = None
        self.journal = JournalView()
        self.reports = NodeReports(self.topics)
        self.moves = MoveBook(self.topics)
        self.policy = PolicyBook(self.topics)
        self.trunks = TrunkBook(self.topics)
        self.sightings = Sightings()
        self.answers: dict[Place, Answer] = {}

    def add_flows(self, batch: Batch) -> None:
        """One batch of one agent; hearing it ends that agent's silence."""
        self.flows.add(batch)
        self._sight(batch)
        if batch.time_ns:  # 0: the agent has not drained its maps yet
            self.heard_at_ns[batch.node] = batch.time_ns
        if self.silent.pop(batch.node, None) is not None:
            self.topics.touch(AGENTS)

    def agent_silent(self, node: str, why: str) -> None:
        """A node whose agent does not answer, with the reason."""
        if self.silent.get(node) != why:
            self.silent[node] = why
            self.topics.touch(AGENTS)

    def forget_node(self, node: str) -> None:
        """A node left the cluster, or its agent left the node."""
        self.flows.forget_node(node)
        self.silent.pop(node, None)
        self.heard_at_ns.pop(node, None)
        self.topics.touch(AGENTS)

    def keep_answer(self, place: Place, answer: Answer) -> None:
        """What probing an address (Network, VLAN, address) brought."""
        self.answers[place] = answer
        self.topics.touch(ADDRESSES)

    def _sight(self, batch: Batch) -> None:
        before = self.sightings.version
        self.sightings.add(batch)
        if self.sightings.version != before:
            self.topics.touch(ADDRESSES)

    def keep_record(self, vm_key: str, record: Mapping[str, Any]) -> None:
        """The newest move record of a VM (`namespace/name`)."""
        self.records[vm_key] = record
        self.topics.touch(MOVES)

    def keep_findings(self, findings: tuple[Finding, ...]) -> None:
        """What lint finds in the cluster now."""
        if findings != self.findings:
            self.findings = findings
            self.topics.touch(FINDINGS)

    def keep_journal(self, journal: JournalView) -> None:
        """The journal as it is on disk now."""
        if journal != self.journal:
            self.journal = journal
            self.topics.touch(JOURNAL)
