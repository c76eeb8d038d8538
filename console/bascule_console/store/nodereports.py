"""What the agents last reported, node by node: the documents of `bascule nodes list` (DESIGN section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule_console.store.inventory import Inventory
from bascule_console.store.nodes import agent_target, is_cordoned, is_ready, network_conditions, node_name
from bascule_console.store.topics import REPORTS, Topics
from bascule_console.store.vms import NODES

Document = Mapping[str, Any]


class NodeReports:
    """One document per node, replaced as a whole by each round of asking."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.documents: dict[str, Document] = {}
        self.silent: dict[str, str] = {}
        self.asked = False

    def put(self, documents: list[dict[str, Any]], silent: Mapping[str, str]) -> None:
        """The answers of one round: a document per node, and why the silent ones are silent."""
        fresh: dict[str, Document] = {str(document["name"]): document for document in documents}
        if (fresh, dict(silent), True) == (self.documents, self.silent, self.asked):
            return
        self.documents, self.silent, self.asked = fresh, dict(silent), True
        self._topics.touch(REPORTS)


def node_document(node: Mapping[str, Any], report: Document | None, seen: str = "") -> dict[str, Any]:
    """One node's document: the report, if there is one, beside what the Node itself says.

    `seen` is the agent's Lease renewal, for a report that does not have it.
    """
    name = node_name(node)
    document: dict[str, Any] = {"name": name, "agent": None, "trunk": None, "bridges": [], "ports": []}
    document |= report or {}
    if document["agent"] is not None and not document["agent"].get("seen"):
        document["agent"] = {**document["agent"], "seen": seen}
    document["ready"], document["cordoned"] = is_ready(node), is_cordoned(node)
    document["conditions"] = network_conditions(node)
    return document


def node_documents(inventory: Inventory, reports: NodeReports) -> dict[str, dict[str, Any]]:
    """Every Node by name, with its agent's last report; `silent` says why there is none, "" while nobody was asked."""
    found: dict[str, dict[str, Any]] = {}
    for node in inventory.all(NODES):
        name = node_name(node)
        document = node_document(node, reports.documents.get(name))
        document["silent"] = "" if document["agent"] is not None else _why_silent(node, name, reports)
        found[name] = document
    return found


def _why_silent(node: Mapping[str, Any], name: str, reports: NodeReports) -> str:
    if agent_target(node) is None:
        return "no agent: its Node has no annotation bascule.dev/agent"
    return reports.silent.get(name, "no answer yet")
