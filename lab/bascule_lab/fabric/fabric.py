"""The fabric: the switch with one tagged trunk per node, management and migration bridges, gateway, outside host."""

from __future__ import annotations

from collections.abc import Sequence

from bascule_lab.config import API_ADDRESS, NATIVE_VLAN, VLANS, LabConfig
from bascule_lab.fabric import gateway
from bascule_lab.fabric.errors import FabricError
from bascule_lab.fabric.switch import PortCount, PortDrop, Station, Switch
from bascule_lab.nodes import netns, node

MANAGEMENT, MIGRATION = "mgmt", "mig"


class Fabric:
    """The fabric of one lab: `start`, then VLANs and links by node name, counters, `stop`.

    `machine.prepare` must have mounted the bpffs.
    """

    def __init__(self, config: LabConfig, nodes: Sequence[str]) -> None:
        self.config = config
        self.nodes = tuple(nodes)
        self._switch: Switch | None = None

    async def start(self) -> None:
        """Build everything, nodes' namespaces included. Raises NetlinkError, BpfError, FabricError."""
        await netns.net(self._build)

    def _build(self) -> None:
        fabric = netns.make(self.config.fabric)
        for name in (MANAGEMENT, MIGRATION):
            bridge = fabric.add_bridge(name, netns.fixed_mac(self.config.fabric, name))
            fabric.set(bridge.index, up=True)
        fabric.add_address(fabric.link(MANAGEMENT).index, f"{API_ADDRESS}/24")
        gateway.build(self.config)
        for name in self.nodes:
            node.build(self.config, name)
        self._switch = Switch(self.config)
        for vlan in VLANS:
            self._switch.add_port(gateway.access_port(vlan), native=vlan, trunk=False, vlans=(vlan,))
        self._join(gateway.MANAGEMENT_PORT, MANAGEMENT)
        for name in self.nodes:
            self._switch.add_port(node.trunk_port(name), native=NATIVE_VLAN, trunk=True, vlans=VLANS)
            self._join(node.management_port(name), MANAGEMENT)
            self._join(node.migration_port(name), MIGRATION)
            node.route(self.config, name)

    def _join(self, port: str, bridge: str) -> None:
        fabric = netns.link_in(self.config.fabric)
        index = fabric.link(port).index
        fabric.set(index, master=fabric.link(bridge).index)
        fabric.set(index, up=True)

    @property
    def switch(self) -> Switch:
        """The switch; blocking, call it under `netns.net`."""
        if self._switch is None:
            raise FabricError("the fabric is not built", fix="call start first")
        return self._switch

    async def allow_vlan(self, name: str, vlan: int) -> None:
        """Put a VLAN back on a node's switch port."""
        await netns.net(self.switch.allow, self._trunk(name), vlan)

    async def deny_vlan(self, name: str, vlan: int) -> None:
        """Take a VLAN off a node's switch port: its frames are dropped there both ways, as a misconfigured switch
        does."""
        await netns.net(self.switch.deny, self._trunk(name), vlan)

    async def vlans(self, name: str) -> tuple[int, ...]:
        """The VLANs on a node's switch port."""
        return await netns.net(self.switch.vlans, self._trunk(name))

    async def cut(self, name: str) -> None:
        """Set a node's switch port down: the node loses carrier on its trunk, the switch forgets what was there."""
        await netns.net(self.switch.set_port, self._trunk(name), False)

    async def restore(self, name: str) -> None:
        """Set a node's switch port up again."""
        await netns.net(self.switch.set_port, self._trunk(name), True)

    def _trunk(self, name: str) -> str:
        if name not in self.nodes:
            raise FabricError(f"no node {name!r}", f"there are {', '.join(self.nodes)}")
        return node.trunk_port(name)

    async def counts(self) -> list[PortCount]:
        """Frames and bytes by switch port and VLAN."""
        return await netns.net(self.switch.counts)

    async def drops(self) -> list[PortDrop]:
        """What the switch refused, by port and cause."""
        return await netns.net(self.switch.drops)

    async def stations(self) -> list[Station]:
        """Which MAC the switch has learned where."""
        return await netns.net(self.switch.stations)

    async def stop(self) -> None:
        """Remove every namespace of this fabric; the pins go with the lab's bpffs (`machine.cleanup`)."""
        await netns.net(self._clear)

    def _clear(self) -> None:
        for name in self.nodes:
            netns.remove(self.config.node(name))
        for namespace in (self.config.outside, self.config.gateway, self.config.fabric):
            netns.remove(namespace)
        if self._switch:
            self._switch.close()
            self._switch = None
