"""May a Network use the bridge it names? The three checks of Calico's existing-bridge contract, and who was first.

Source: reference/calico-l2.md 1.6. What cannot be read counts as allowed: the kernel refuses later, with nothing open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.vlan_aware_facts import BridgeFacts
from bascule.resources.network import HostConfig

RESERVED = ("calb-", "calq-")


def refuse_bridge(
    network: str, name: str, configs: Mapping[str, HostConfig], observed: Observed
) -> NetworkOutcome | None:
    """Why this Network gets nothing in the existing bridge `name`; None when nothing speaks against it. The message
    names the bridge, each check that fails, and the command that mends it."""
    link = observed.by_name.get(name)
    if link is None:
        return NetworkOutcome.refuse(
            network,
            "BridgeMissing",
            f"existingBridge {name} does not exist on this node: "
            f"`ip link add {name} address 02:00:00:00:00:01 type bridge vlan_filtering 1 vlan_default_pvid 0` "
            "with a MAC of its own",
        )
    if link.kind != "bridge" or link.alias.startswith("bascule:") or name.startswith(RESERVED):
        return NetworkOutcome.refuse(
            network, "BridgeUnsuitable", f"{name} is no bridge of yours: existingBridge must name a bridge you built"
        )
    failed = list(_failed(link, _facts(link, observed)))
    if failed:
        return NetworkOutcome.refuse(network, "BridgeRefused", f"existingBridge {name}: {'; '.join(failed)}")
    first = min(other for other, config in configs.items() if config.bridge.name == name)
    if first != network:
        return NetworkOutcome.refuse(
            network, "BridgeShared", f"existingBridge {name} is Network {first}'s: one bridge, one Network"
        )
    return None


def _facts(link: ObservedLink, observed: Observed) -> BridgeFacts:
    return next((each for each in observed.bridges if each.bridge == link.index), BridgeFacts(link.index))


def _failed(link: ObservedLink, facts: BridgeFacts) -> Iterator[str]:
    """Each failed check with its remedy."""
    if facts.filtering is False:
        yield (
            f"vlan_filtering is 0: `ip link set {link.name} type bridge vlan_filtering 1`, but first, or the host is "
            f"cut off, its own VLAN: `bridge vlan add dev {link.name} vid <host's VLAN> self`"
        )
    if facts.pinned is False:
        yield (
            f"its MAC is not pinned (addr_assign_type is not 3) and follows its ports: "
            f"`ip link set {link.name} address {link.mac}`"
        )
    if facts.protocol not in (None, "802.1Q"):
        yield f"vlan_protocol is {facts.protocol}: `ip link set {link.name} type bridge vlan_protocol 802.1Q`"
