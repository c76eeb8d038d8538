"""What a cluster says about policy, read at once: documents, endpoints, and what could not be read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from bascule.errors import BasculeError, UsageError
from bascule.policy.endpoints import Endpoint, endpoints_of
from bascule.policy.flow import Flow
from bascule.resources.policy_read import ICMP, PROTOCOLS, WITH_PORTS, as_net
from bascule_console.store.policyworld import World
from bascule_kube import Cluster, Kind
from bascule_kube.cluster import Objects
from bascule_kube.errors import Forbidden, NotFound
from bascule_kube.kinds import (
    GLOBALNETWORKSET,
    NAD,
    NAMESPACE,
    NETWORKSET,
    POD,
    POLICIES,
    SERVICEACCOUNT,
    TIER,
    VMI,
)

DOCUMENTS = (NAMESPACE, SERVICEACCOUNT, TIER, *POLICIES, NETWORKSET, GLOBALNETWORKSET)
_SERVICE = re.compile(r"([a-z0-9]{1,8})(/[0-9]{1,5}){0,2}")
_EPHEMERAL = 49152  # a source port that a client would have


class NoSuchEnd(BasculeError):
    """A VM, pod or address that is no endpoint of the cluster."""


async def load(cluster: Cluster) -> World:
    """Read everything that decides verdicts. A kind that the cluster does not serve has no objects."""
    missing: list[str] = []

    async def objects(kind: Kind) -> Objects:
        try:
            return await cluster.list(kind)
        except NotFound:
            return []
        except Forbidden as error:
            missing.append(f"{kind.plural}.{kind.group or 'core'} were not read: {error.message}")
            return []

    kinds = (*DOCUMENTS, POD, VMI, NAD)
    lists = dict(zip(kinds, await asyncio.gather(*map(objects, kinds)), strict=True))
    documents = [typed(obj, kind) for kind in DOCUMENTS for obj in lists[kind]]
    found = endpoints_of(lists[POD], lists[VMI], lists[NAD])
    missing += [f"left out: {problem.message}" for problem in found.problems]
    return World(documents, found.endpoints, tuple(missing))


def typed(obj: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """The object with apiVersion and kind, which items of a list may lack."""
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind}


def end(endpoints: Iterable[Endpoint], text: str) -> tuple[Endpoint | None, str]:
    """(endpoint, address) for a VM as `name`, `namespace/name` or `namespace/name/nic`, a pod as `namespace/name`, or
    an address, whose endpoint is None when it is outside. Raises NoSuchEnd, and UsageError for several."""
    net = as_net(text) if "/" not in text else None
    if net is not None:
        return next((each for each in endpoints if text in each.ips), None), text
    found = [each for each in endpoints if text in _names(each) and each.ips]
    if not found:
        raise NoSuchEnd(f"there is no VM or pod {text!r} with an address", fix="bascule vms list")
    names = sorted({each.name for each in found})
    if len(names) > 1:
        raise UsageError(f"{text!r} is ambiguous", f"it may be {', '.join(names)}", "write NAMESPACE/VM/NIC")
    return found[0], found[0].ips[0]


def _names(endpoint: Endpoint) -> tuple[str, ...]:
    owner = f"{endpoint.namespace}/{endpoint.vm or endpoint.pod}"
    return endpoint.vm or endpoint.pod, owner, endpoint.name


def flow(source: str, destination: str, service: str) -> Flow:
    """A connection from addresses and `tcp/443`, `udp/53`, `icmp`, `icmp/8/0` or a protocol number.

    `icmp` alone is an echo request. Raises UsageError.
    """
    match = _SERVICE.fullmatch(service.lower())
    name, *rest = service.lower().split("/") if match else [""]
    protocol = PROTOCOLS.get(name) or (int(name) if name.isdigit() else 0)
    numbers = [int(part) for part in rest]
    icmp, with_port = protocol in ICMP, protocol in WITH_PORTS
    fits = len(numbers) <= 2 if icmp else len(numbers) == with_port
    if not 1 <= protocol <= 255 or not fits or any(number > (255 if icmp else 65535) for number in numbers):
        raise UsageError(f"{service!r} is no service", fix="write tcp/443, udp/53, icmp, icmp/8/0 or a protocol number")
    try:
        if icmp:
            kind, code = (*numbers, 0)[:2] if numbers else (8, 0)
            return Flow.of(source, destination, protocol, icmp=(kind, code))
        port = numbers[0] if numbers else 0
        return Flow.of(source, destination, protocol, port, _EPHEMERAL if with_port else 0)
    except ValueError as error:
        raise UsageError(f"no connection from {source} to {destination}", str(error)) from error
