"""May this Network use the trunk and the bridge it names? Refusals protect what is not ours: the host's own way out,
another's bridge, another Network's trunk."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.hostplan.names import ALIAS_MAX, alias
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.network import HostConfig


def trunk_holders(configs: Mapping[str, HostConfig], observed: Observed) -> dict[str, str]:
    """Which Network holds each trunk: the one whose VLANs run on it now, else the first by name.

    The incumbent goes first, so that a Network that comes later, whatever its name, cannot cut off running VMs.
    """
    holders: dict[str, str] = {}
    for name in sorted(configs):
        trunk = configs[name].trunk
        if trunk is None:
            continue
        running = _running_on(observed, trunk.interface)
        if trunk.interface not in holders or (name in running and holders[trunk.interface] not in running):
            holders[trunk.interface] = name
    return holders


def refuse(network: str, config: HostConfig, holders: Mapping[str, str], observed: Observed) -> NetworkOutcome | None:
    """Why this Network gets nothing on this node, None when nothing speaks against it."""
    if len(alias("b", network, 4094).encode(errors="surrogatepass")) > ALIAS_MAX:
        return NetworkOutcome.refuse(network, "NameTooLong", "its name does not fit into a link's alias: shorten it")
    if config.bridge.name:
        return NetworkOutcome.refuse(
            network,
            "UnsupportedDriver",
            f"existingBridge {config.bridge.name}: vlan_aware comes with the Bridges and trunks issue",
        )
    if not config.bridge.managed:
        return NetworkOutcome.refuse(
            network, "BadBridge", "its hostConfig has neither managedBridge nor existingBridge"
        )
    if config.trunk is None:
        return None
    return _refuse_trunk(network, config.trunk.interface, holders, observed)


def _refuse_trunk(network: str, trunk: str, holders: Mapping[str, str], observed: Observed) -> NetworkOutcome | None:
    link = observed.by_name.get(trunk)
    if link is None:
        return NetworkOutcome.refuse(network, "TrunkMissing", f"trunk {trunk} does not exist on this node")
    if link.name == "lo" or link.kind == "bridge" or link.alias.startswith("bascule:"):
        return NetworkOutcome.refuse(network, "TrunkUnsuitable", f"{trunk} is no link to the switch: name the trunk")
    if way_out := _default_route(link, observed):
        return NetworkOutcome.refuse(
            network,
            "DefaultRouteTrunk",
            f"the node's default route leaves through {way_out}: using trunk {trunk} would cut the node off",
        )
    if link.master:
        return NetworkOutcome.refuse(
            network, "TrunkEnslaved", f"trunk {trunk} is a port of {observed.name_of(link.master)}, which is not ours"
        )
    if holders[trunk] != network:
        return NetworkOutcome.refuse(
            network, "TrunkShared", f"trunk {trunk} is held by Network {holders[trunk]}: one trunk, one Network"
        )
    return None


def _default_route(trunk: ObservedLink, observed: Observed) -> str:
    """The link with a default route that is the trunk or stands on it (a VLAN device, a macvlan), or ""."""
    found, grown = {trunk.index}, True
    while grown:
        above = {link.index for link in observed.links if link.kind != "veth" and link.peer in found}
        grown = not above <= found
        found |= above
    return next((link.name for link in observed.links if link.index in found and link.default_route), "")


def _running_on(observed: Observed, trunk: str) -> set[str]:
    """The Networks that have a stub fed from this trunk now."""
    link = observed.by_name.get(trunk)
    if link is None:
        return set()
    stubs = (observed.by_index.get(stub) for index, _, stub in observed.demux if index == link.index)
    return {stub.owner.network for stub in stubs if stub and stub.owner}
