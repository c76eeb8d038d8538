"""What a node should have of the vlan_aware driver: per Network one bridge that keeps all its VLANs apart.

For Networks with an existingBridge, and for those that ask for it by annotation. A VLAN is on the trunk here only while
a port here needs it, as with per_vlan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bascule.hostplan import names
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.vlan_aware_facts import Member
from bascule.resources.network import HostConfig, Network

ANNOTATION, DRIVER = "bascule.dev/driver", "vlan_aware"
WHOLE = 0
"""The VLAN id in names and aliases of a bridge that serves all VLANs of its Network."""


@dataclass(frozen=True, slots=True, order=True)
class AwareBridge:
    """A Network's bridge and what its trunk carries. `existing`: another owner's, found by `name`; else ours, `mac` and
    `mtu` (bytes) given. `trunk` is "" when the Network connects none; `native` 0 for none; `vids` sorted, the VLANs
    that ports here need."""

    network: str
    name: str
    existing: bool
    mac: str
    mtu: int
    trunk: str
    native: int
    vids: tuple[int, ...]


def wanted(network: Network, config: HostConfig) -> bool:
    """Is this Network the vlan_aware driver's on a node with this hostConfig?"""
    return bool(config.bridge.name) or network.meta.annotations.get(ANNOTATION) == DRIVER


def managed(observed: Observed) -> dict[str, ObservedLink]:
    """The bridge of ours that serves each Network, by the Network's name; of several the one with the lowest index."""
    found: dict[str, ObservedLink] = {}
    for link in sorted(observed.links, key=lambda each: each.index, reverse=True):
        if link.owner and link.owner.vid == WHOLE:
            found[link.owner.network] = link
    return found


def home(network: str, config: HostConfig, observed: Observed) -> ObservedLink | None:
    """The bridge this Network's VLANs live in now, None while it is not there."""
    return observed.by_name.get(config.bridge.name) if config.bridge.name else managed(observed).get(network)


def desired_bridge(
    network: str, config: HostConfig, vids: Iterable[int], native: int | None, node: str, observed: Observed
) -> AwareBridge | None:
    """The bridge this Network should have here; None while no port needs one of its VLANs."""
    here = tuple(sorted(vids))
    if not here:
        return None
    trunk = config.trunk.interface if config.trunk else ""
    link, present = observed.by_name.get(trunk), home(network, config, observed)
    name = config.bridge.name or (present.name if present else names.link_name("b", network, WHOLE))
    mac = names.bridge_mac(node, network, WHOLE)
    mtu = link.mtu if link else 1500
    return AwareBridge(network, name, bool(config.bridge.name), mac, mtu, trunk, native or 0, here)


def bridges_by_vlan(bridges: Iterable[AwareBridge], observed: Observed) -> dict[tuple[str, int], int]:
    """(network, VLAN id) → ifindex of the bridge its ports belong to, of every bridge that is there."""
    found = ((each, observed.by_name.get(each.name)) for each in bridges)
    return {(each.network, vid): link.index for each, link in found if link for vid in each.vids}


def refuse_vlans(bridge: AwareBridge, observed: Observed) -> NetworkOutcome | None:
    """Why the trunk's place in another owner's bridge speaks against this plan: what it already is there would have to
    change. None when nothing does, and for a bridge of ours."""
    link, trunk = observed.by_name.get(bridge.name), observed.by_name.get(bridge.trunk)
    if not bridge.existing or link is None or trunk is None:
        return None
    if trunk.master != link.index:
        return _refuse_join(bridge, link, trunk, observed)
    ours = {row.vid for row in observed.carried if row.trunk == trunk.index and row.added}
    members = {entry.vid: entry for entry in observed.vlans if entry.port == trunk.index and entry.vid not in ours}
    return _refuse_members(bridge, members)


def _refuse_join(
    bridge: AwareBridge, link: ObservedLink, trunk: ObservedLink, observed: Observed
) -> NetworkOutcome | None:
    """With a default PVID the trunk must be down while it joins, or untagged frames cross for a moment."""
    above = next((each.name for each in observed.links if each.peer == trunk.index and each.kind == "vlan"), "")
    facts = next((each for each in observed.bridges if each.bridge == link.index), None)
    if not above or not facts or not facts.default_pvid:
        return None
    why = (
        f"{bridge.trunk} would have to go down to join {bridge.name}, whose default PVID is {facts.default_pvid}, and "
        f"{above} stands on it: `ip link set {bridge.trunk} master {bridge.name} && "
        f"bridge vlan delete dev {bridge.trunk} vid {facts.default_pvid}`"
    )
    return NetworkOutcome.refuse(bridge.network, "TrunkInUse", why)


def _refuse_members(bridge: AwareBridge, members: Mapping[int, Member]) -> NetworkOutcome | None:
    pvid = next((entry.vid for entry in members.values() if entry.pvid), 0)
    for vid in bridge.vids:
        entry, native = members.get(vid), vid == bridge.native
        if entry and (entry.pvid, entry.untagged) != (native, native):
            now = " ".join(word for word, on in (("pvid", entry.pvid), ("untagged", entry.untagged)) if on) or "tagged"
            flags = " pvid untagged" if native else ""
            why = (
                f"{bridge.trunk} is in VLAN {vid} of {bridge.name} as {now}, the Network says "
                f"{'native' if native else 'tagged'}: `bridge vlan add dev {bridge.trunk} vid {vid}{flags}`"
            )
            return NetworkOutcome.refuse(bridge.network, "VlanConflict", why)
        if native and not entry and pvid:
            why = (
                f"the untagged frames of {bridge.trunk} belong to VLAN {pvid} of {bridge.name}, the Network's native "
                f"VLAN is {vid}: `bridge vlan delete dev {bridge.trunk} vid {pvid}`"
            )
            return NetworkOutcome.refuse(bridge.network, "VlanConflict", why)
    return None
