"""The store: everything the console knows, in one place. Services write it, screens and verbs read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bascule_console.store.flows import Flows
from bascule_console.store.inventory import Inventory
from bascule_console.store.topics import AGENTS, MOVES, Topics
from bascule_console.store.vmtable import VmSource

if TYPE_CHECKING:
    from bascule.flows.store import Batch


class Store:
    """Inventory, flows, silent agents and the last move; each change touches its topic."""

    def __init__(self) -> None:
        self.topics = Topics()
        self.inventory = Inventory(self.topics)
        self.flows = Flows(self.topics)
        self.vms = VmSource(self.topics, self.inventory)
        self.silent: dict[str, str] = {}
        self.heard_at_ns: dict[str, int] = {}
        self.records: dict[str, Mapping[str, Any]] = {}

    def add_flows(self, batch: Batch) -> None:
        """One batch of one agent; hearing it ends that agent's silence."""
        self.flows.add(batch)
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

    def keep_record(self, vm_key: str, record: Mapping[str, Any]) -> None:
        """The newest move record of a VM (`namespace/name`)."""
        self.records[vm_key] = record
        self.topics.touch(MOVES)
