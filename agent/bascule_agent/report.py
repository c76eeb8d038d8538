"""The node's report: what `Node` answers, the shape of `bascule nodes list -o json` (DESIGN section 6). Pure.

It shows what is, read from netlink and our maps, beside what the cluster wants; a difference is for the reader to see.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.flows.drops import LinkDrops, drop_dict
from bascule.flows.rows import time_text
from bascule.hostplan.observed import Observed
from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.pod import PodNic
from bascule_agent.flows.clock import kernel_clock

VERSION = importlib.metadata.version("bascule")


@dataclass(frozen=True)
class PortView:
    """One port as the report shows it. `state`: waiting, down, held, live, moved, blocked; `reason` says why not live;
    `ifindex` is 0 while the link is not known."""

    nic: PodNic
    state: str
    ifindex: int = 0
    reason: str = ""


@dataclass(frozen=True)
class AgentView:
    """The agent itself: `seen` is its Lease's renewal, RFC 3339; `adopted` ports found right at start."""

    mode: str
    seen: str
    adopted: int
    changes: int


def build(
    node: str,
    agent: AgentView,
    observed: Observed,
    trunk: str,
    ports: Iterable[PortView],
    outcomes: Iterable[NetworkOutcome],
    changes: Mapping[str, Any] | None = None,
    findings: Iterable[dict[str, Any]] = (),
    drops: LinkDrops | None = None,
) -> dict[str, Any]:
    """The document. `changes` holds `change`, the last one under commit-confirm, and `accepted`; `findings` what
    the agent found by itself. `trunk` is the trunk's name by the Network that selects this node, "" when none does;
    `drops` what its links have dropped, None where flows are not counted."""
    shown = sorted(ports, key=lambda p: (p.nic.namespace, p.nic.vm, p.nic.nic, p.nic.pod))
    clock = kernel_clock()
    return {
        "name": node,
        "agent": {
            "version": VERSION,
            "mode": agent.mode,
            "seen": agent.seen,
            "pid": os.getpid(),
            "adopted": agent.adopted,
            "changes": agent.changes,
        },
        "trunk": _trunk(trunk, observed),
        "bridges": _bridges(observed),
        "ports": [_port(port) for port in shown],
        "networks": [
            {"name": o.network, "ready": o.ok, "reason": o.reason, "message": o.message} for o in sorted(outcomes)
        ],
        **(changes or {"change": None, "accepted": {}}),
        "findings": list(findings),
        "drops": _drops(drops),
        "kernel": {"release": os.uname().release},
        "clock": {"offset_ns": clock.offset_ns, "error_ns": clock.error_ns, "source": clock.source},
    }


def _drops(drops: LinkDrops | None) -> dict[str, Any]:
    """`kernel` says whether the kernel's drops are counted, else `why` not; `links` all drops, most frames first."""
    if drops is None:
        return {"kernel": False, "why": "flows are not counted on this node", "since": "", "links": []}
    links = sorted(drops.found, key=lambda drop: (-drop.packets, drop.link, drop.reason))
    since = time_text(drops.since_ns)
    return {"kernel": not drops.absent, "why": drops.absent, "since": since, "links": [drop_dict(d) for d in links]}


def _trunk(name: str, observed: Observed) -> dict[str, Any]:
    """The trunk and the VLANs that its program hands to bridges now (the kernel's maps, not the wish)."""
    link = observed.by_name.get(name)
    if link is None:
        return {"name": name, "carrier": False, "mtu": 0, "vlans": [], "native": None}
    native = next((vid for trunk, vid in observed.native if trunk == link.index), None)
    vlans = sorted(vid for trunk, vid, _ in observed.demux if trunk == link.index)
    return {"name": name, "carrier": link.carrier, "mtu": link.mtu, "vlans": vlans, "native": native}


def _bridges(observed: Observed) -> list[dict[str, Any]]:
    found = []
    for link in observed.links:
        owner = link.owner
        if owner is None or owner.role != "b":
            continue
        members = sorted(member.name for member in observed.links if member.master == link.index)
        found.append(
            {
                "name": link.name,
                "alias": link.alias,
                "network": owner.network,
                "vlan": owner.vid,
                "up": link.up,
                "ports": members,
            }
        )
    return sorted(found, key=lambda b: (b["network"], b["vlan"]))


def _port(port: PortView) -> dict[str, Any]:
    nic = port.nic
    return {
        "vm": nic.vm,
        "namespace": nic.namespace,
        "nic": nic.nic,
        "network": nic.network,
        "vlan": nic.vlan,
        "mac": nic.mac,
        "ip": nic.ip,
        "state": port.state,
        "ifindex": port.ifindex,
        "reason": port.reason,
        "pod": nic.pod,
    }
