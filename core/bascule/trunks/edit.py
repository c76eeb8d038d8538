"""Attach a trunk to chosen nodes, or detach it, by editing a Network's hostConfig; what every node gets is checked.

The list is tried from the top and the first entry that selects a node is used whole, so an entry for chosen nodes must
stand before every other that selects them, and must select nobody else. It does both by naming them by hostname.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bascule.errors import RefusedError, UsageError
from bascule.hostplan.management import ALLOW_ANNOTATION
from bascule.resources.network import HostConfig, Network
from bascule.resources.node import Node
from bascule.resources.read import dig, items, text
from bascule.trunks.change import CHANGE_ANNOTATION, Wish
from bascule.trunks.questions import config_of

HOSTNAME = "kubernetes.io/hostname"
_NAMED = re.compile(r'\s*kubernetes\.io/hostname\s*(?:==\s*"([^"]+)"|in\s*\{([^}]*)\})\s*')
Obj = dict[str, Any]


def attach(
    document: Mapping[str, Any], nodes: Iterable[Node], chosen: Iterable[Node], interface: str, native: int | None
) -> Obj:
    """The Network with `interface` as trunk of the chosen nodes; `nodes` are all. Raises UsageError, RefusedError."""
    port = {"interface": {"name": interface}} | ({"nativeVLAN": native} if native else {})
    return _edit(document, list(nodes), list(chosen), [{"trunkPort": port}])


def detach(document: Mapping[str, Any], nodes: Iterable[Node], chosen: Iterable[Node]) -> Obj:
    """The Network without a trunk on the chosen nodes; where no entry is left for one it is not selected any more."""
    return _edit(document, list(nodes), list(chosen), [])


def wished(document: Obj, wish: Wish, allow: Iterable[str] = ()) -> Obj:
    """The document with the wish how to confirm it, and the nodes whose management path it may use."""
    new = copy.deepcopy(document)
    annotations = new["metadata"].setdefault("annotations", {})
    value = {"id": wish.id, "confirm": "manual" if wish.manual else "auto", "seconds": wish.seconds}
    annotations[CHANGE_ANNOTATION] = json.dumps(value)
    names = sorted({name for name in annotations.get(ALLOW_ANNOTATION, "").split(",") if name} | set(allow))
    if names:
        annotations[ALLOW_ANNOTATION] = ",".join(names)
    return new


def position(document: Mapping[str, Any], node: Node) -> int | None:
    """Which hostConfig entry applies to a node: the first that selects it."""
    network = Network.of(document)
    config = config_of(network, node.meta.labels)
    return next((n for n, each in enumerate(network.host_configs) if each is config), None)


def _edit(document: Mapping[str, Any], nodes: list[Node], chosen: list[Node], connections: list[Obj]) -> Obj:
    before = Network.of(document)
    if not before.l2:
        raise UsageError(f"Network {before.name} has no l2Bridge")
    names = sorted(_hostname(node) for node in chosen)
    template = _template(before, document, chosen)
    new = copy.deepcopy({key: value for key, value in document.items() if key != "status"})
    entries = _without(items(dig(new, "spec", "l2Bridge", "hostConfig")), set(names))
    new["spec"]["l2Bridge"]["hostConfig"] = entries
    still = [node for node in chosen if config_of(Network.of(new), node.meta.labels)]
    if connections or any(_trunk(Network.of(new), node) for node in still):
        entry = {"bridge": template} | ({"hostConnections": connections} if connections else {})
        same = next(
            (e for e in entries if _names(e) and {k: e.get(k) for k in entry} == entry and len(e) == len(entry) + 1),
            None,
        )
        if same is not None:
            entries.remove(same)
            names = sorted({*names, *_names(same)})
        entries.insert(0, {"nodeSelector": selector(names), **entry})
    if not entries:
        raise RefusedError(
            f"Network {before.name} would have no hostConfig left", fix=f"bascule networks delete {before.name}"
        )
    _check(before, Network.of(new), nodes, chosen, connections)
    return new


def _same(entry: Obj, other: Obj) -> bool:
    return {key: value for key, value in entry.items() if key != "nodeSelector"} == other


def selector(names: Iterable[str]) -> str:
    """A nodeSelector for these hostnames."""
    quoted = [json.dumps(name) for name in names]
    return f"{HOSTNAME} == {quoted[0]}" if len(quoted) == 1 else f"{HOSTNAME} in {{{', '.join(quoted)}}}"


def _hostname(node: Node) -> str:
    name = node.meta.labels.get(HOSTNAME, "")
    if not name:
        raise RefusedError(
            f"node {node.name} has no label {HOSTNAME}", fix=f"kubectl label node {node.name} {HOSTNAME}=…"
        )
    return name


def _template(network: Network, document: Mapping[str, Any], chosen: list[Node]) -> Obj:
    """The bridge of the entry that the chosen nodes have now; a managed one where they have none."""
    found = []
    for node in chosen:
        at = position(document, node)
        bridge = dig(document, "spec", "l2Bridge", "hostConfig", at, "bridge") if at is not None else None
        found.append(dict(bridge) if isinstance(bridge, Mapping) else {"managedBridge": {}})
    if any(each != found[0] for each in found):
        raise RefusedError(
            f"the nodes have different bridges in Network {network.name}", fix="attach them in one command per bridge"
        )
    return found[0]


def _names(entry: Any) -> list[str]:
    """The hostnames of an entry that selects by nothing else."""
    match = _NAMED.fullmatch(text(dig(entry, "nodeSelector")))
    if match is None:
        return []
    return [match[1]] if match[1] else [part.strip().strip('"') for part in match[2].split(",") if part.strip()]


def _without(entries: Any, names: set[str]) -> list[Obj]:
    kept = []
    for entry in entries:
        own = _names(entry)
        left = [name for name in own if name not in names]
        if own and not left:
            continue
        kept.append({**entry, "nodeSelector": selector(left)} if own and left != own else dict(entry))
    return kept


def _trunk(network: Network, node: Node) -> str:
    config = config_of(network, node.meta.labels)
    return config.trunk.interface if config and config.trunk else ""


def _check(before: Network, after: Network, nodes: list[Node], chosen: list[Node], connections: list[Obj]) -> None:
    """First match wins: the chosen nodes must get the new entry, and nobody else another than before."""
    picked = {node.name for node in chosen}
    wanted = text(dig(connections, 0, "trunkPort", "interface", "name"))
    for node in nodes:
        config = config_of(after, node.meta.labels)
        if node.name in picked:
            if (config.trunk.interface if config and config.trunk else "") != wanted:
                raise RefusedError(
                    f"node {node.name} would not get trunk {wanted or 'none'}", "an earlier entry selects it"
                )
        elif _content(config) != _content(config_of(before, node.meta.labels)):
            raise RefusedError(f"node {node.name} would change too", f"it shares label {HOSTNAME} with a chosen node")


def _content(config: HostConfig | None) -> Any:
    return None if config is None else (config.bridge, config.trunk)
