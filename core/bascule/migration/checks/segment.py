"""What the old switch allowed or did, and the new one does not: modes of port groups, MTU."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.estate.model import PortGroup, Switch
from bascule.migration.checks.registry import ERROR, ESTATE, UNKNOWN, WARNING, Result, check, untold
from bascule.migration.world import World
from bascule.resources.read import dig, integer
from bascule.trunks.proof import FAILED

FULL = 1500


@check("promiscuous", "port groups", "nobody listens promiscuously", "no port group allows promiscuous mode",
       "does a VM of it listen to others' frames (IDS, monitoring, nested hypervisor)?")  # fmt: skip
def _promiscuous(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        if group.promiscuous:
            told = f"{group.place}: promiscuous mode is allowed; a Calico port gets only its own frames"
            yield Result(group.name, WARNING, told, "find who needs it; a mirror has to replace it")
    yield from untold(
        [group.name for group in world.used_groups if group.promiscuous is None], "whether promiscuous mode is allowed"
    )


@check("forged-transmits", "port groups", "nobody sends with another MAC", "no port group allows forged transmits",
       "does a VM of it send with a MAC that is not its own (VRRP, load balancer, nested hypervisor)?")  # fmt: skip
def _forged(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        if group.forged:
            told = f"{group.place}: forged transmits are accepted; a Calico port drops frames of another MAC"
            yield Result(group.name, WARNING, told, "find who needs it before the move")
    yield from untold(
        [group.name for group in world.used_groups if group.forged is None], "whether forged transmits are"
    )


@check("mac-changes", "port groups", "nobody changes its MAC", "no port group allows MAC changes",
       "does a guest of it set a MAC of its own?")  # fmt: skip
def _changes(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        if group.mac_changes:
            told = f"{group.place}: a guest may change its MAC; a Calico port knows one"
            yield Result(group.name, WARNING, told, "the guest's MAC has to be the NIC's: look inside")
    yield from untold(
        [group.name for group in world.used_groups if group.mac_changes is None], "whether MAC changes are"
    )


@check("shaping", "port groups", "no traffic shaping", "no port group shapes traffic")
def _shaping(world: World) -> Iterator[Result]:
    for group in world.used_groups:
        if group.shaping:
            yield Result(
                group.name, WARNING, f"{group.place}: traffic is shaped; that is not carried over", "plan for it"
            )
    yield from untold([group.name for group in world.used_groups if group.shaping is None], "whether traffic is shaped")


@check("mtu-switch", "port groups", "old switch has no jumbo frames", "no switch in use has an MTU above 1500",
       "do its VMs use frames larger than 1500 bytes?")  # fmt: skip
def _mtu(world: World) -> Iterator[Result]:
    mtus = {(switch.server, switch.name): switch for switch in world.estate.switches}
    cluster = integer(dig(world.target.installation, "spec", "calicoNetwork", "mtu"))
    for group in world.used_groups:
        switch = mtus.get((group.server, group.switch))
        if switch and switch.mtu > (cluster or FULL):
            told = f"{switch.place}: switch {switch.name} has MTU {switch.mtu}, the cluster {cluster or 'not known'}"
            fix = "set Installation.spec.calicoNetwork.mtu, or make the guests use 1500 first"
            yield Result(group.name, WARNING, told, fix)
    silent = [group.name for group in world.used_groups if not _mtu_of(mtus, group)]
    yield from untold(silent, "the MTU of the switch")


def _mtu_of(mtus: dict[tuple[str, str], Switch], group: PortGroup) -> int:
    switch = mtus.get((group.server, group.switch))
    return switch.mtu if switch else 0


@check("mtu-trunk", "Networks", "trunks pass full-size frames", "no trunk failed with full-size frames")
def _mtu_trunk(world: World) -> Iterator[Result]:
    if world.proofs is None:
        fix = "bascule trunks prove -o json > proofs.json, then --proofs proofs.json"
        yield Result(ESTATE, UNKNOWN, "no trunk proof was recorded", fix)
        return
    for cell in world.proofs:
        if cell.verdict == FAILED and "bytes" in cell.evidence:
            yield Result(f"VLAN {cell.vlan} on {cell.node}", ERROR, cell.evidence, "raise the MTU along the trunk")


@check("mtu-cluster", "cluster", "cluster's MTU is set", "the MTU of workloads is set")
def _mtu_cluster(world: World) -> Iterator[Result]:
    if world.target.installation is None:
        yield Result(ESTATE, UNKNOWN, "the Installation was not given", "give it with --cluster, or set its mtu")
    elif not integer(dig(world.target.installation, "spec", "calicoNetwork", "mtu")):
        told = "calicoNetwork.mtu is not set: the first workload may lower a bridge from 1500 to 1480 (CORE-13428)"
        yield Result("Installation", WARNING, told, "set spec.calicoNetwork.mtu: 1500")
