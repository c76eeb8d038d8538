"""The stand-in for Calico's IPAM and for `calico` as a CNI delegate: which address a VM NIC gets, or why none.

Pure. Rules are calico-l2.md 1.4 and 2.1 to 2.3: a pool counts when it allows L2Workload and lies inside a subnet of
the VLAN; first, last and next-hop addresses are reserved; an address belongs to the VM (its handle), so that a
migration target gets the same one.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError

Obj = Mapping[str, Any]


class AttachError(BasculeError):
    """CNI ADD fails: the pod stays unattached and its VMI says why."""


@dataclass(frozen=True)
class Attachment:
    """What CNI ADD decided for one NIC. `prefix` is the subnet's, `gateway` the default route's next hop or empty."""

    network: str
    vlan: int
    ip: str
    prefix: int
    gateway: str


def attach(
    nad: Obj,
    networks: Mapping[str, Obj],
    pools: Iterable[Obj],
    requested: str,
    handle: str,
    taken: Mapping[str, str],
) -> Attachment:
    """Decide network, VLAN and address of one NIC.

    `networks` by name; `taken` maps an address to the handle that holds it. Raises AttachError with the words a
    user would look for.
    """
    name = nad["metadata"]["name"]
    config = _config(nad)
    network_name = str(config.get("network", ""))
    if network_name not in networks:
        raise AttachError(
            f"failed to get Network {network_name!r}",
            cause=f"NetworkAttachmentDefinition {name} names a Network that does not exist",
            fix="create the Network or correct the NAD's network",
        )
    vlan = config.get("vlan")
    subnets = _subnets(networks[network_name], vlan)
    if not isinstance(vlan, int) or subnets is None:
        raise AttachError(
            f"VLAN {vlan!r} is not in Network {network_name}",
            cause=f"NetworkAttachmentDefinition {name} asks for it",
            fix="add the VLAN to spec.l2Bridge.vlans or correct the NAD",
        )
    asked = (config.get("ipam") or {}).get("ipv4_pools") or []
    eligible = [
        cidr
        for pool in pools
        if (cidr := _l2_cidr(pool)) and (not asked or pool["metadata"]["name"] in asked or str(cidr) in asked)
    ]
    return _allocate(network_name, vlan, subnets, eligible, requested, handle, taken)


def _config(nad: Obj) -> dict[str, Any]:
    try:
        config = json.loads(nad["spec"]["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise AttachError(
            f"NetworkAttachmentDefinition {nad['metadata']['name']}: spec.config is not JSON",
            cause=str(error),
            fix="write the CNI configuration as one JSON document",
        ) from error
    if not isinstance(config, dict):
        raise AttachError(f"NetworkAttachmentDefinition {nad['metadata']['name']}: spec.config is not a JSON object")
    return config


Subnet = tuple[ipaddress.IPv4Network, list[str]]


def _subnets(network: Obj, vlan: object) -> list[Subnet] | None:
    """Subnets (and their next hops) of `vlan`, or None when the Network does not carry it."""
    for entry in network["spec"].get("l2Bridge", {}).get("vlans", []):
        where = entry["vlan"]
        span = where.get("range") or {"start": where.get("id"), "end": where.get("id")}
        if isinstance(vlan, int) and span["start"] <= vlan <= span["end"]:
            return [
                (ipaddress.IPv4Network(s["cidr"]), [r["action"]["nextHop"] for r in s.get("routes", [])])
                for s in entry.get("subnets", [])
            ]
    return None


def _l2_cidr(pool: Obj) -> ipaddress.IPv4Network | None:
    spec = pool["spec"]
    if "L2Workload" not in spec.get("allowedUses", []) or spec.get("disabled"):
        return None
    return ipaddress.IPv4Network(spec["cidr"])


def _allocate(
    network: str,
    vlan: int,
    subnets: list[Subnet],
    pools: list[ipaddress.IPv4Network],
    requested: str,
    handle: str,
    taken: Mapping[str, str],
) -> Attachment:
    where = f"VLAN {vlan} of Network {network}"
    if not pools:
        raise AttachError(
            f"no IPPool for {where}",
            cause="no pool with allowedUses [L2Workload] lies inside its subnets",
            fix="add an IPPool inside the VLAN's subnet",
        )
    for subnet, hops in subnets:
        reserved = {str(subnet[0]), str(subnet[-1]), *hops} if subnet.prefixlen < 31 else set(hops)
        for pool in pools:
            if not pool.subnet_of(subnet):
                continue
            held = [ip for ip, owner in taken.items() if owner == handle and ipaddress.IPv4Address(ip) in pool]
            candidates = [requested] if requested else held or (str(a) for a in pool)
            for ip in candidates:
                if ipaddress.IPv4Address(ip) in pool and ip not in reserved and taken.get(ip, handle) == handle:
                    return Attachment(network, vlan, ip, subnet.prefixlen, hops[0] if hops else "")
    owner = taken.get(requested, "")
    raise AttachError(
        f"address {requested or 'any'} is not to be had on {where}",
        cause=f"held by {owner}" if owner else "it is reserved, outside the VLAN's pools, or the pool is full",
        fix="pick another address, or release it",
    )
