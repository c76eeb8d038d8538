"""The NIC of a launcher pod, in KubeVirt's shape: guest → tap → in-pod bridge → pod<hash> → host veth → our port.

In two halves, because they are two components' work: `add` is what CNI does (namespace, veth, host side left down for
the agent to program and raise), `bind` is what virt-launcher does after it (in-pod bridge and tap).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass

from bascule_lab.config import LabConfig
from bascule_lab.guests import tap
from bascule_lab.guests.errors import GuestError
from bascule_lab.nodes import netns

CARRIER_TIMEOUT_S = 20.0
_POLL_S = 0.01


@dataclass(frozen=True)
class PodPort:
    """One NIC of one launcher pod: its namespace and the node's by name, both ends of its veth."""

    netns: str
    node_netns: str
    interface: str
    host_interface: str
    host_index: int

    @property
    def netns_path(self) -> str:
        """What `cni.projectcalico.org/podNetns` holds."""
        return f"/run/netns/{self.netns}"


def interface_name(network: str) -> str:
    """The pod interface of a VM's network: `pod` and 11 hex digits of sha256 (KubeVirt's hashed naming)."""
    return f"pod{_hash(network)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:11]


async def add(config: LabConfig, node: str, pod_uid: str, network: str = "net-0") -> PodPort:
    """CNI's ADD for one network of a new pod on `node`: namespace and veth; the host side is down.

    Raises NetlinkError, and leaves nothing behind then.
    """
    return await netns.net(_add, config, node, pod_uid, network)


def _add(config: LabConfig, node: str, pod_uid: str, network: str) -> PodPort:
    launcher, host_netns = config.launcher(pod_uid), config.node(node)
    interface, host_interface = interface_name(network), f"veth{_hash(f'{pod_uid}/{network}')}"
    inside = netns.make(launcher)
    try:
        host = netns.link_in(host_netns).add_veth(host_interface, interface, peer_netns=launcher)
        inside.set(inside.link(interface).index, up=True)
    except BaseException:
        netns.remove(launcher)
        raise
    return PodPort(launcher, host_netns, interface, host_interface, host.index)


async def carrier(port: PodPort) -> bool:
    """Whether the pod side has carrier, which is: the agent has programmed the host side and set it up."""

    def look() -> bool:
        return netns.link_in(port.netns).link(port.interface).carrier

    return await netns.net(look)


async def wait_carrier(port: PodPort, timeout: float = CARRIER_TIMEOUT_S) -> None:
    """The end of CNI's ADD. Raises GuestError when no agent raised the port in `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not await carrier(port):
        if time.monotonic() > deadline:
            raise GuestError(
                f"{port.interface} in {port.netns} has no carrier after {timeout:g} s",
                f"the agent of {port.node_netns} did not program and raise {port.host_interface}",
                "see that agent's log and its Node's condition",
            )
        await asyncio.sleep(_POLL_S)


async def bind(port: PodPort) -> int:
    """The in-pod bridge with the pod interface and a new tap; returns the tap's descriptor, for QEMU to own."""
    return await netns.net(_bind, port)


def _bind(port: PodPort) -> int:
    inside = netns.link_in(port.netns)
    suffix = port.interface.removeprefix("pod")
    bridge = inside.add_bridge(f"k6t-{suffix}", netns.fixed_mac(port.netns, suffix))
    inside.set(bridge.index, up=True)
    descriptor = tap.open_tap(port.netns, f"tap{suffix}")
    pod_side = inside.link(port.interface).index
    for index in (inside.link(f"tap{suffix}").index, pod_side):
        inside.set(index, master=bridge.index)
        inside.set(index, up=True)
    # a guest that moved away announces itself from outside; learning that would point the in-pod bridge away from
    # the tap, should it come back to this pod
    inside.set_brport(pod_side, learning=0)
    return descriptor


async def remove(port: PodPort) -> None:
    """CNI's DEL: veth and namespace; no error when they are gone. Quit QEMU first: its tap keeps them alive."""
    await netns.net(_remove, port)


def _remove(port: PodPort) -> None:
    if port.node_netns in netns.list_netns(port.node_netns):
        node = netns.link_in(port.node_netns)
        link = node.find(port.host_index)
        if link and link.name == port.host_interface:
            node.delete(link.index)
    netns.remove(port.netns)
