"""Rules on IPPools for L2 workloads; pools for other uses are only checked for a mix."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from bascule.lint.finding import Problem, show
from bascule.lint.registry import rule
from bascule.lint.world import POOL, Document, World
from bascule.resources.ippool import L2_WORKLOAD
from bascule.resources.read import dig

BLOCK_MIN, BLOCK_MAX = 20, 32


@rule("pool-uses", POOL)
def uses(document: Document, world: World) -> Iterator[Problem]:
    """L2Workload together with another use."""
    others = sorted(set(document.pool.allowed_uses) - {L2_WORKLOAD})
    if document.pool.l2 and others:
        evidence = ", ".join(document.pool.allowed_uses)
        fix = f"Keep only {L2_WORKLOAD} and make another pool for the rest."
        yield Problem("spec.allowedUses", f"{L2_WORKLOAD} cannot be combined with other uses", evidence[:80], fix)


@rule("pool-bgp-export", POOL)
def bgp_export(document: Document, world: World) -> Iterator[Problem]:
    """An L2Workload pool without disableBGPExport: the API refuses it."""
    if document.pool.l2 and not document.pool.disable_bgp_export:
        evidence = show(dig(document.raw, "spec", "disableBGPExport"))
        message = "an L2Workload pool must not be exported by BGP"
        yield Problem("spec.disableBGPExport", message, evidence, "Set disableBGPExport: true.")


@rule("pool-encapsulation", POOL)
def encapsulation(document: Document, world: World) -> Iterator[Problem]:
    """An L2Workload pool with IPIP or VXLAN."""
    pool = document.pool
    for field, mode in (("ipipMode", pool.ipip_mode), ("vxlanMode", pool.vxlan_mode)):
        if pool.l2 and mode != "Never":
            message = "an L2Workload pool cannot be encapsulated"
            yield Problem(f"spec.{field}", message, show(mode), f"Set {field}: Never, or leave it out.")


@rule("pool-cidr", POOL)
def cidr(document: Document, world: World) -> Iterator[Problem]:
    """An L2Workload pool whose cidr is no IPv4 CIDR or has host bits set."""
    pool = document.pool
    if not pool.l2 or not pool.cidr:
        return
    if pool.network is None:
        yield Problem("spec.cidr", "not an IPv4 CIDR", show(pool.cidr), "Write it as 10.110.0.0/24.")
    elif pool.cidr.partition("/")[0] != str(pool.network.network_address):
        message = "host bits are set: not the pool's first address"
        yield Problem("spec.cidr", message, show(pool.cidr), f"Write {pool.network}.")


@rule("pool-block-size", POOL)
def block_size(document: Document, world: World) -> Iterator[Problem]:
    """A blockSize outside 20 to 32, or a block larger than the pool (the default is 26)."""
    pool = document.pool
    if not pool.l2 or pool.network is None:
        return
    shown = f"/{show(pool.block_size)} blocks in {pool.cidr}"
    if not BLOCK_MIN <= pool.block_size <= BLOCK_MAX:
        yield Problem("spec.blockSize", f"blockSize is not {BLOCK_MIN} to {BLOCK_MAX}", shown, "Use 26.")
    elif pool.block_size < pool.network.prefixlen:
        fix = f"Set blockSize to {pool.network.prefixlen} or more."
        yield Problem("spec.blockSize", "a block is larger than the pool", shown, fix)


@rule("pool-outside-subnet", POOL, "warning")
def outside_subnet(document: Document, world: World) -> Iterator[Problem]:
    """An L2Workload pool that lies inside no subnet of any Network: it is never used."""
    pool = document.pool
    if not pool.l2 or pool.network is None:
        return
    subnets = _subnets(world)
    if not any(pool.network.subnet_of(subnet) for subnet in subnets):
        known = ", ".join(str(subnet) for subnet in sorted(subnets)[:4]) or "none"
        fix = "Make the pool's cidr equal to the VLAN's subnet."
        yield Problem("spec.cidr", "inside no subnet of any Network: never used", f"subnets: {known}", fix)


def _subnets(world: World) -> set[IPv4Network]:
    return {
        subnet.network
        for network in world.networks.values()
        for entry in network.vlans
        for subnet in entry.subnets
        if subnet.network
    }
