"""Rules on a Network's hostConfig: selectors, bridges, trunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bascule.lint.finding import Problem, show
from bascule.lint.network_vlans import HOSTS
from bascule.lint.registry import rule
from bascule.lint.world import NETWORK, Document, World
from bascule.resources.network import HostConfig, Network
from bascule.resources.read import dig, items
from bascule.selectors import SelectorError, parse

RESERVED = ("calb-", "calq-")


@rule("network-native-vlan", NETWORK)
def native_vlan(document: Document, world: World) -> Iterator[Problem]:
    """A nativeVLAN that is not among the Network's VLANs: it is ignored, and untagged frames are dropped."""
    carried = document.network.carried_vlans()
    for position, config in enumerate(document.network.host_configs):
        native = config.trunk.native_vlan if config.trunk else None
        if native is not None and native not in carried:
            yield Problem(
                f"{HOSTS}[{position}].hostConnections[0].trunkPort.nativeVLAN",
                f"native VLAN {show(native)} is not one of the Network's VLANs, so untagged frames go nowhere",
                show(native),
                f"Add VLAN {show(native)} to vlans, or remove nativeVLAN.",
            )


@rule("network-trunk-none", NETWORK, "warning")
def trunk_none(document: Document, world: World) -> Iterator[Problem]:
    """A hostConfig without hostConnections: no trunk is attached, and one that the host uses otherwise may fail its
    reverse-path check (CORE-13089)."""
    for position, entry in enumerate(items(dig(document.raw, "spec", "l2Bridge", "hostConfig"))):
        if not items(dig(entry, "hostConnections")):
            yield Problem(
                f"{HOSTS}[{position}].hostConnections",
                "no trunk is named: VMs reach only VMs on the same node (CORE-13089)",
                show(dig(entry, "hostConnections")),
                "Name the trunk in hostConnections[0].trunkPort.interface.name.",
            )


@rule("network-bridge-reserved", NETWORK)
def bridge_reserved(document: Document, world: World) -> Iterator[Problem]:
    """An existing bridge called calb-… or calq-…: Calico owns those names and may delete it."""
    for position, config in enumerate(document.network.host_configs):
        if config.bridge.name.startswith(RESERVED):
            yield Problem(
                f"{HOSTS}[{position}].bridge.existingBridge.name",
                f"{config.bridge.name[:5]} is reserved: Calico owns such bridges and may delete them",
                show(config.bridge.name),
                "Rename your bridge, or use managedBridge.",
            )


@rule("network-link-name", NETWORK)
def link_name(document: Document, world: World) -> Iterator[Problem]:
    """A bridge or trunk name that no Linux link can have (1 to 15 characters, no blank, no slash)."""
    for position, config in enumerate(document.network.host_configs):
        for field, name in (
            ("bridge.existingBridge.name", config.bridge.name),
            ("hostConnections[0].trunkPort.interface.name", _trunk(config)),
        ):
            if name and (len(name) > 15 or "/" in name or any(char.isspace() for char in name) or name in (".", "..")):
                fix = "Use the link's name as `ip link` shows it, at most 15 characters."
                yield Problem(f"{HOSTS}[{position}].{field}", "no link can have this name", show(name), fix)


@rule("network-stp", NETWORK)
def stp(document: Document, world: World) -> Iterator[Problem]:
    """managedBridge.stp is not the enum Enabled or Disabled (a boolean in older documentation)."""
    for position, entry in enumerate(items(dig(document.raw, "spec", "l2Bridge", "hostConfig"))):
        value = dig(entry, "bridge", "managedBridge", "stp")
        if value is not None and value not in ("Enabled", "Disabled"):
            meant = "Enabled" if value is True else "Disabled"
            field = f"{HOSTS}[{position}].bridge.managedBridge.stp"
            yield Problem(field, "stp is Enabled or Disabled, not a boolean", show(value), f"Write stp: {meant}.")


@rule("network-selector-duplicate", NETWORK)
def selector_duplicate(document: Document, world: World) -> Iterator[Problem]:
    """Two hostConfig entries with the same nodeSelector: the list is keyed on it, the API refuses it."""
    seen: dict[str, int] = {}
    for position, config in enumerate(document.network.host_configs):
        if config.node_selector in seen:
            yield Problem(
                f"{HOSTS}[{position}].nodeSelector",
                f"hostConfig[{seen[config.node_selector]}] has the same nodeSelector",
                show(config.node_selector),
                "Give every hostConfig a nodeSelector of its own.",
            )
        seen.setdefault(config.node_selector, position)


@rule("network-selector-parse", NETWORK)
def selector_parse(document: Document, world: World) -> Iterator[Problem]:
    """A nodeSelector that does not parse."""
    for position, config in enumerate(document.network.host_configs):
        try:
            parse(config.node_selector)
        except SelectorError as error:
            yield Problem(
                f"{HOSTS}[{position}].nodeSelector",
                f"does not parse at character {error.position + 1}: {error.problem}",
                show(config.node_selector),
                f"{error.fix[0].upper()}{error.fix[1:]}.",
            )


@rule("network-selector-shadowed", NETWORK, "warning")
def selector_shadowed(document: Document, world: World) -> Iterator[Problem]:
    """A hostConfig that no node can reach, because an earlier one takes every node it selects (first match wins)."""
    earlier: dict[str, int] = {}
    for position, config in enumerate(document.network.host_configs):
        canonical = _canonical(config.node_selector)
        by = earlier.get("all()", earlier.get(canonical))
        if by is not None and document.network.host_configs[by].node_selector != config.node_selector:
            yield Problem(
                f"{HOSTS}[{position}].nodeSelector",
                f"never used: hostConfig[{by}] takes every node that this one selects",
                f"{show(document.network.host_configs[by].node_selector)} comes before {show(config.node_selector)}",
                f"Move it above hostConfig[{by}].",
            )
        if canonical:
            earlier.setdefault(canonical, position)


@rule("network-trunk-shared", NETWORK)
def trunk_shared(document: Document, world: World) -> Iterator[Problem]:
    """Two Networks on one trunk of one node: a trunk belongs to exactly one Network."""
    for position, other, where in _shared(document, world, _trunk):
        name = _trunk(document.network.host_configs[position])
        yield Problem(
            f"{HOSTS}[{position}].hostConnections[0].trunkPort.interface.name",
            f"Network {other} uses trunk {name} too{where}: a trunk belongs to one Network",
            show(name),
            f"Add the VLANs to Network {other}, or use another trunk.",
        )


@rule("network-bridge-shared", NETWORK)
def bridge_shared(document: Document, world: World) -> Iterator[Problem]:
    """Two Networks on one existing bridge of one node: they compete, the last one wins (CORE-13417)."""
    for position, other, where in _shared(document, world, _bridge):
        name = document.network.host_configs[position].bridge.name
        yield Problem(
            f"{HOSTS}[{position}].bridge.existingBridge.name",
            f"Network {other} uses bridge {name} too{where}: the two compete (CORE-13417)",
            show(name),
            f"Add the VLANs to Network {other}, or use another bridge.",
        )


def _trunk(config: HostConfig) -> str:
    return config.trunk.interface if config.trunk else ""


def _bridge(config: HostConfig) -> str:
    return config.bridge.name


def _canonical(selector: str) -> str:
    """The selector's canonical text, "" when it does not parse (another rule says so)."""
    try:
        return str(parse(selector))
    except SelectorError:
        return ""


def _shared(document: Document, world: World, part: Callable[[HostConfig], str]) -> Iterator[tuple[int, str, str]]:
    """(hostConfig position, other Network, " on node …") where both use the same link: on a known node, or, when no
    node is known, in any hostConfig."""
    mine = document.network
    for name, other in world.networks.items():
        if name == mine.name:
            continue
        found: dict[int, str] = {}
        if world.nodes:
            for node in world.nodes:
                ours, theirs = _position(mine, node.meta.labels), _position(other, node.meta.labels)
                if ours is not None and theirs is not None:
                    link = part(mine.host_configs[ours])
                    if link and link == part(other.host_configs[theirs]):
                        found.setdefault(ours, f" on node {node.name}")
        else:
            taken = {part(config) for config in other.host_configs} - {""}
            found = {n: "" for n, config in enumerate(mine.host_configs) if part(config) in taken}
        for position, where in found.items():
            yield position, name, where


def _position(network: Network, labels: Mapping[str, str]) -> int | None:
    """Which hostConfig a node with these labels gets; none when a selector before it does not parse."""
    for position, config in enumerate(network.host_configs):
        try:
            if config.selects(labels):
                return position
        except SelectorError:
            return None
    return None
