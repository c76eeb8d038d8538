"""Typed facade over rtnetlink: namespaces, links, addresses, routes, FDB, bridge ports, tc filters, events.

The only package that imports pyroute2; the lab builds its fabric with it too. Everything blocks. A `Netlink` may be
used from any thread and from inside a running asyncio loop (through a worker thread: it blocks). What a pass needs
often is encoded here (request.py), the rest is pyroute2's, in a thread of its own that lives in the namespace.
"""

from bascule_agent.netlink.facade import Netlink
from bascule_agent.netlink.filters import BpfFilter
from bascule_agent.netlink.monitor import Monitor
from bascule_agent.netlink.netns import (
    NetnsThread,
    create_netns,
    delete_netns,
    in_netns,
    list_netns,
    netns_path,
    quiet_sysctls,
    sysctl,
)
from bascule_agent.netlink.types import (
    Address,
    BridgeSettings,
    FdbEntry,
    FdbEvent,
    Link,
    LinkEvent,
    Neighbour,
    NetlinkError,
    Overrun,
    PortVlan,
    Route,
    Touched,
)

__all__ = [
    "Address",
    "BpfFilter",
    "BridgeSettings",
    "FdbEntry",
    "FdbEvent",
    "Touched",
    "Link",
    "LinkEvent",
    "Monitor",
    "Neighbour",
    "Netlink",
    "NetlinkError",
    "NetnsThread",
    "Overrun",
    "PortVlan",
    "Route",
    "create_netns",
    "delete_netns",
    "in_netns",
    "list_netns",
    "netns_path",
    "quiet_sysctls",
    "sysctl",
]
