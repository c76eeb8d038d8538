"""Two nodes and a gateway joined by plain bridges, one VLAN, no tags, no agent, no BPF: what a move costs by itself.

Guests, template, QMP parameters and links are the lab's own; only what Bascule adds is missing. Moves here and moves
in the lab, alternating in one run, tell what Bascule costs.
"""

from __future__ import annotations

import secrets

from bascule_lab.config import LabConfig, node_migration
from bascule_lab.guests import plumbing
from bascule_lab.guests.guest import MoveResult
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.real import QemuGuest
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.guests.template import Template
from bascule_lab.nodes import netns

NODES = ("node1", "node2")


class BareLab:
    """A baseline lab of its own prefix: `start`, `add_guest`, `move`, `stop`. The gateway is `config.gateway`."""

    def __init__(self, config: LabConfig, template: Template, vlan: int = 110) -> None:
        self.config = config
        self.vlan = vlan
        self._template = template
        self._bridge = f"br{vlan}"
        self.guests: dict[str, QemuGuest] = {}

    async def start(self) -> None:
        """Build the namespaces. Raises NetlinkError."""
        await netns.net(self._build)

    def _build(self) -> None:
        config = self.config
        fabric = netns.make(config.fabric)
        for name in (self._bridge, "mig"):
            fabric.set(fabric.add_bridge(name, netns.fixed_mac(config.fabric, name)).index, up=True)
        gateway = netns.make(config.gateway)
        self._join(config.fabric, "gw", self._bridge, config.gateway, f"vlan{self.vlan}")
        netns.like_a_nic(config.gateway, f"vlan{self.vlan}")
        gateway.add_address(gateway.link(f"vlan{self.vlan}").index, f"10.{self.vlan}.0.1/24")
        for node in NODES:
            inside = netns.make(config.node(node))
            bridge = inside.add_bridge(self._bridge, netns.fixed_mac(config.node(node), self._bridge))
            inside.set(bridge.index, up=True)
            self._join(config.fabric, f"t-{node}", self._bridge, config.node(node), "trunk0")
            inside.set(inside.link("trunk0").index, master=bridge.index)
            self._join(config.fabric, f"m-{node}", "mig", config.node(node), "mig0")
            inside.add_address(inside.link("mig0").index, f"{node_migration(node)}/24")

    @staticmethod
    def _join(fabric: str, port: str, bridge: str, peer_netns: str, peer: str) -> None:
        """A veth from a bridge of the fabric into another namespace, both ends up."""
        switch, other = netns.link_in(fabric), netns.link_in(peer_netns)
        link = switch.add_veth(port, peer, peer_netns=peer_netns)
        switch.set(link.index, master=switch.link(bridge).index)
        switch.set(link.index, up=True)
        other.set(other.link(peer).index, up=True)

    async def add_guest(self, spec: GuestSpec, node: str) -> QemuGuest:
        """A running clone on `node`. Raises GuestError or NetlinkError."""
        port = await self._port(node)
        guest = QemuGuest(self.config, spec, port, self._template)
        await guest.start_clone()
        self.guests[spec.name] = guest
        return guest

    async def _port(self, node: str) -> PodPort:
        port = await plumbing.add(self.config, node, secrets.token_hex(16))
        await netns.net(self._raise, port)
        return port

    def _raise(self, port: PodPort) -> None:
        node = netns.link_in(port.node_netns)
        node.set(port.host_index, master=node.link(self._bridge).index)
        node.set(port.host_index, up=True)

    async def move(self, name: str, node: str) -> MoveResult:
        """Live-migrate a guest to `node`; on failure it stays where it is. Raises GuestError, NetlinkError."""
        source = self.guests[name]
        port = await self._port(node)
        target = QemuGuest(self.config, source.spec, port, self._template)
        result = await source.migrate_to(target, await target.start_incoming(node_migration(node)))
        gone = source if result.ok else target
        if result.ok:
            self.guests[name] = target
        await gone.quit()
        await plumbing.remove(gone.port)
        return result

    async def stop(self) -> None:
        """End the guests and remove every namespace of the prefix."""
        for guest in self.guests.values():
            await guest.quit()
            await plumbing.remove(guest.port)
        self.guests.clear()
        await netns.net(self._clear)

    def _clear(self) -> None:
        for name in netns.list_netns(f"{self.config.prefix}-"):
            netns.remove(name)
