"""Rules on NetworkAttachmentDefinitions of type calico; those of other plugins are not ours to judge."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.lint.finding import Problem, show
from bascule.lint.registry import rule
from bascule.lint.world import NAD, Document, World
from bascule.resources.attachment import Attachment
from bascule.resources.network import VLAN_MAX, VLAN_MIN
from bascule.resources.read import dig

CONFIG = "spec.config"
_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})")


def _ours(document: Document) -> Attachment | None:
    attachment = document.attachment
    return attachment if not attachment.problem and attachment.type == "calico" else None


@rule("nad-config", NAD)
def config(document: Document, world: World) -> Iterator[Problem]:
    """spec.config is missing or no JSON object."""
    problem = document.attachment.problem
    if problem:
        yield Problem(CONFIG, problem, show(dig(document.raw, "spec", "config")), "Write one JSON object as a string.")


@rule("nad-network-missing", NAD)
def network_missing(document: Document, world: World) -> Iterator[Problem]:
    """The config names no Network: the NIC would be routed, not on a VLAN."""
    attachment = _ours(document)
    if attachment and not attachment.network:
        evidence = show(attachment.config.get("network"))
        yield Problem(f"{CONFIG}.network", "names no Network", evidence, "Set network to the Network's name.")


@rule("nad-network-not-found", NAD)
def network_not_found(document: Document, world: World) -> Iterator[Problem]:
    """The Network that the config names does not exist: VMs would stay in Init for ever."""
    attachment = _ours(document)
    if attachment and attachment.network and attachment.network not in world.networks:
        known = ", ".join(sorted(world.networks)) or "none"
        message = f"there is no Network {attachment.network}"
        yield Problem(f"{CONFIG}.network", message, f"Networks: {known}", "Create the Network first, or fix the name.")


@rule("nad-vlan-missing", NAD)
def vlan_missing(document: Document, world: World) -> Iterator[Problem]:
    """The config has no vlan: always write it, also when the Network has a single VLAN."""
    attachment = _ours(document)
    if attachment and attachment.network and attachment.vlan is None:
        evidence = show(attachment.config.get("vlan"))
        yield Problem(f"{CONFIG}.vlan", "no VLAN id (an integer)", evidence, "Set vlan to one of the Network's VLANs.")


@rule("nad-vlan-id", NAD)
def vlan_id(document: Document, world: World) -> Iterator[Problem]:
    """The config's vlan is not 1 to 4094."""
    attachment = _ours(document)
    if attachment and attachment.vlan is not None and not VLAN_MIN <= attachment.vlan <= VLAN_MAX:
        evidence = show(attachment.vlan)
        yield Problem(f"{CONFIG}.vlan", f"VLAN {evidence} is not 1 to 4094", evidence, "Use a VLAN id from 1 to 4094.")


@rule("nad-vlan-not-carried", NAD)
def vlan_not_carried(document: Document, world: World) -> Iterator[Problem]:
    """The config's vlan is not among the Network's VLANs."""
    attachment = _ours(document)
    network = world.networks.get(attachment.network) if attachment else None
    if attachment is None or network is None or attachment.vlan is None or not VLAN_MIN <= attachment.vlan <= VLAN_MAX:
        return
    if attachment.vlan not in network.carried_vlans():
        yield Problem(
            f"{CONFIG}.vlan",
            f"Network {network.name} does not carry VLAN {attachment.vlan}",
            f"it has {len(network.carried_vlans())} VLANs",
            f"Add VLAN {attachment.vlan} to Network {network.name}, or use one that it has.",
        )


@rule("nad-cni-version", NAD)
def cni_version(document: Document, world: World) -> Iterator[Problem]:
    """cniVersion is missing, not a version, or above 1.0.0: pods would hang in ContainerCreating."""
    attachment = _ours(document)
    if attachment is None:
        return
    match = _VERSION.fullmatch(attachment.cni_version)
    if match is None or tuple(map(int, match.groups())) > (1, 0, 0):
        evidence = show(attachment.config.get("cniVersion"))
        yield Problem(f"{CONFIG}.cniVersion", "not a CNI version up to 1.0.0", evidence, "Set cniVersion to 0.3.1.")
