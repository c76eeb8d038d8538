"""How a Network's hostConfig applies: the entries in the order in which they are tried, and who gets which. Pure.

The first entry that selects a node is used whole, nothing is merged (reference/calico-l2.md 1.3), so an entry's words
say little without the ones before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.network import HostConfig, Network
from bascule.resources.node import Node
from bascule.selectors import SelectorError
from bascule.trunks.questions import config_of

NO_TRUNK = "no trunk"


@dataclass(frozen=True, slots=True)
class Entry:
    """One hostConfig entry: `nodes` get it; `shadowed` are selected by it too, but an earlier entry takes them; `new`
    when the Network has no such entry yet."""

    index: int
    selector: str
    trunk: str
    nodes: tuple[str, ...]
    shadowed: tuple[str, ...]
    new: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A node whose trunk becomes another; "" where no entry selects it."""

    node: str
    before: str
    after: str


def entries(document: Mapping[str, Any], nodes: Iterable[Node], before: Mapping[str, Any] | None = None) -> list[Entry]:
    """The entries of a Network as they apply to these nodes, against the Network `before` a change of it."""
    network, everyone = Network.of(document), list(nodes)
    old = set(Network.of(before).host_configs) if before is not None else None
    taken: set[str] = set()
    found = []
    for index, config in enumerate(network.host_configs):
        hit = [node.name for node in everyone if _selects(config, node)]
        gets = tuple(name for name in hit if name not in taken)
        shadowed = tuple(name for name in hit if name in taken)
        taken |= set(hit)
        new = old is not None and config not in old
        found.append(Entry(index, config.node_selector or "all()", _trunk(config), gets, shadowed, new))
    return found


def turns(before: Mapping[str, Any], after: Mapping[str, Any], nodes: Iterable[Node]) -> list[Turn]:
    """The nodes that get another trunk by a change."""
    old, new = Network.of(before), Network.of(after)
    both = ((node.name, config_of(old, node.meta.labels), config_of(new, node.meta.labels)) for node in nodes)
    return [Turn(name, _trunk(was), _trunk(becomes)) for name, was, becomes in both if _trunk(was) != _trunk(becomes)]


def left_out(document: Mapping[str, Any], nodes: Iterable[Node]) -> tuple[str, ...]:
    """The nodes that no entry selects."""
    network = Network.of(document)
    return tuple(node.name for node in nodes if config_of(network, node.meta.labels) is None)


def of_node(documents: Iterable[Mapping[str, Any]], node: Node) -> list[tuple[str, Entry]]:
    """(Network, entry) that a node gets, of every Network that selects it."""
    return [
        (str(document["metadata"]["name"]), entry)
        for document in documents
        for entry in entries(document, [node])
        if entry.nodes
    ]


def _selects(config: HostConfig, node: Node) -> bool:
    try:
        return config.selects(node.meta.labels)
    except SelectorError:
        return False


def _trunk(config: HostConfig | None) -> str:
    if config is None:
        return ""
    if config.trunk is None:
        return NO_TRUNK
    native = f" native {config.trunk.native_vlan}" if config.trunk.native_vlan else ""
    return f"{config.trunk.interface}{native}"
