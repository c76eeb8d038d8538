"""The node's kernel side as one object: netlink, pins, segment driver, ports. Blocking; the Worker calls it.

Without pins (mode `observe`, or before the first build) it only looks, and what it cannot know is empty.
"""

from __future__ import annotations

from bascule.hostplan.observed import Observed
from bascule.hostplan.steps import Step
from bascule.resources.pod import PodNic
from bascule_agent.apply.announce import Place, places
from bascule_agent.bpf.layout import PortState
from bascule_agent.bpf.objects import Objects
from bascule_agent.errors import AgentError
from bascule_agent.netlink import Netlink, NetlinkError
from bascule_agent.ports import Port, PortManager, PortSpec
from bascule_agent.segments import Segments, observe_addresses, observe_links


class Host:
    """One node, in the namespace this process runs in (or `netns`, for tests and the lab)."""

    def __init__(self, objects: Objects | None, netns: str | None = None) -> None:
        self.netlink = Netlink(netns)
        self.ports = PortManager(self.netlink, objects) if objects else None
        self._driver = Segments(self.netlink, objects) if objects else None

    def close(self) -> None:
        """Close the netlink socket. Nothing is detached."""
        self.netlink.close()

    def observe(self) -> Observed:
        """What is there now; about 30 µs a link."""
        if self._driver is not None:
            return self._driver.observe()
        return Observed(links=observe_links(self.netlink), addresses=observe_addresses(self.netlink))

    def execute(self, step: Step) -> None:
        """Carry out one step of a plan (SegmentError)."""
        if self._driver is None:
            raise AgentError(f"{step}: not in mode observe", fix="start the agent with --mode manage")
        self._driver.execute(step)

    def resolve(self, nic: PodNic) -> int:
        """The ifindex of the host side of a pod's interface (contracts.md section 2); 0 while it is not there.

        Both ends must name each other: an index read in another namespace means nothing by itself.
        """
        if not nic.netns:
            return 0
        try:
            with Netlink(nic.netns) as pod:
                inside = pod.find(nic.interface)
        except NetlinkError:
            return 0  # the namespace is gone, or not there yet
        outside = self.netlink.find(inside.peer_index) if inside and inside.peer_index else None
        if inside is None or outside is None or outside.kind != "veth" or outside.peer_index != inside.index:
            return 0
        return outside.index

    def bring_up(self, nic: PodNic, ifindex: int, bridge: int, held: bool, slot: int = 0) -> Port:
        """Make the link a policed port, under the policy of `slot` (PortError, SegmentError)."""
        if self.ports is None or self._driver is None:
            raise AgentError("no ports in mode observe", fix="start the agent with --mode manage")
        self._driver.admit(ifindex, bridge, nic.vlan)
        return self.ports.bring_up(PortSpec(ifindex, nic.mac, nic.ip, nic.vlan, nic.network, held, slot), bridge)

    def places(self) -> list[Place]:
        """Where to announce the VMs of the live ports here."""
        live = [port for port in self.ports.state().values() if port.state is PortState.LIVE] if self.ports else []
        return places(self.observe(), [(port.bridge, port.vlan, port.mac) for port in live]) if live else []

    def opened(self, ifindex: int) -> tuple[str, ...]:
        """After the ring's `opened` or `returned`: pin the MAC and lock the port."""
        if self.ports is not None:
            self.ports.open_done(ifindex)
        return ()

    def moved(self, ifindex: int) -> tuple[str, ...]:
        """After the ring's `moved`: remove the VM's static entries here; returns them in words."""
        if self.ports is None:
            return ()
        port = self.ports.port(ifindex)
        found = [entry for entry in self.netlink.fdb(port.bridge) if entry.mac == port.mac and entry.static]
        done = self.ports.move_done(ifindex)
        stays = [entry for entry in self.netlink.fdb(port.bridge) if (entry.mac, entry.index) == (port.mac, ifindex)]
        if done.state is PortState.MOVED and any(entry.vlan in (0, port.vlan) for entry in stays):
            name = self._name(ifindex)
            raise AgentError(
                f"{port.mac} has moved, but its bridge still sends its frames to port {name}",
                fix=f"bridge fdb delete {port.mac} dev {name} master",
            )
        return tuple(f"fdb {entry.mac} dev {self._name(entry.index)} static" for entry in found)

    def _name(self, index: int) -> str:
        link = self.netlink.find(index)
        return link.name if link else f"if{index}"
