"""May this Network use the trunk and the bridge it names? Refusals protect what is not ours: the host's own way out,
another's bridge, another Network's trunk."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.hostplan import management, vlan_aware
from bascule.hostplan.names import ALIAS_MAX, alias
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.owned import Owned
from bascule.hostplan.vlan_aware_checks import refuse_bridge
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


def refuse(
    network: str,
    config: HostConfig,
    holders: Mapping[str, str],
    observed: Observed,
    aware: Mapping[str, HostConfig],
) -> NetworkOutcome | None:
    """Why this Network gets nothing on this node, None when nothing speaks against it. `aware`: the hostConfigs of
    the Networks of the vlan_aware driver."""
    if len(alias("b", network, 4094).encode(errors="surrogatepass")) > ALIAS_MAX:
        return NetworkOutcome.refuse(network, "NameTooLong", "its name does not fit into a link's alias: shorten it")
    if config.bridge.name:
        refusal = refuse_bridge(network, config.bridge.name, aware, observed)
        if refusal:
            return refusal
    elif not config.bridge.managed:
        return NetworkOutcome.refuse(
            network, "BadBridge", "its hostConfig has neither managedBridge nor existingBridge"
        )
    if network in aware and any(name == network for name, _ in Owned.of(observed).ports_in_use):
        return _driver_change(network, "bridges of one VLAN each")
    if config.trunk is None:
        return None
    home = vlan_aware.home(network, config, observed) if network in aware else None
    return _refuse_trunk(network, config.trunk.interface, holders, observed, home)


def _driver_change(network: str, where: str) -> NetworkOutcome:
    return NetworkOutcome.refuse(
        network, "DriverChange", f"its ports here are in {where}: move their VMs away before the driver changes"
    )


def _refuse_trunk(
    network: str, trunk: str, holders: Mapping[str, str], observed: Observed, home: ObservedLink | None
) -> NetworkOutcome | None:
    link = observed.by_name.get(trunk)
    if link is None:
        return NetworkOutcome.refuse(network, "TrunkMissing", f"trunk {trunk} does not exist on this node")
    if link.name == "lo" or link.kind == "bridge" or link.alias.startswith("bascule:"):
        return NetworkOutcome.refuse(network, "TrunkUnsuitable", f"{trunk} is no link to the switch: name the trunk")
    if way_out := management.way_out(link, observed):
        return NetworkOutcome.refuse(
            network,
            "DefaultRouteTrunk",
            f"the node's default route leaves through {way_out}: using trunk {trunk} would cut the node off",
        )
    master = observed.by_index.get(link.master)
    if master and master.owner and master.owner.network == network and master != home:
        return _driver_change(network, f"bridge {master.name} of all its VLANs")
    if link.master and master != home:
        return NetworkOutcome.refuse(
            network, "TrunkEnslaved", f"trunk {trunk} is a port of {observed.name_of(link.master)}, which is not ours"
        )
    if holders[trunk] != network:
        return NetworkOutcome.refuse(
            network, "TrunkShared", f"trunk {trunk} is held by Network {holders[trunk]}: one trunk, one Network"
        )
    return None


def _running_on(observed: Observed, trunk: str) -> set[str]:
    """The Networks that have a stub fed from this trunk now, or whose bridge of all VLANs the trunk is in."""
    link = observed.by_name.get(trunk)
    if link is None:
        return set()
    master = observed.by_index.get(link.master)
    if master and master.owner:
        return {master.owner.network}
    stubs = (observed.by_index.get(stub) for index, _, stub in observed.demux if index == link.index)
    return {stub.owner.network for stub in stubs if stub and stub.owner}
