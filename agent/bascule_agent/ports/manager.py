"""`PortManager`: the one place that makes a workload's interface a port. Blocking; call it from a worker thread.

A port is never live unpoliced: programs are attached and read back, and the port's entry written, while the link is
down; only then does it join the bridge and come up. On failure it stays down and blocked, and the error says why.

A held port learns and is not locked, so that the guest's first frame opens it (in the program) and moves the MAC here
(in the bridge) without the agent; `open_done` then pins the MAC and locks the port.
"""

from __future__ import annotations

import contextlib
from collections.abc import Set
from typing import Any

from bascule.errors import BasculeError
from bascule_agent.bpf.layout import PortState
from bascule_agent.bpf.objects import Objects
from bascule_agent.netlink import Link, Netlink
from bascule_agent.ports.hooks import PROGRAMS, Hooks
from bascule_agent.ports.types import Adopted, Port, PortError, PortSpec, ip_bytes, mac_bytes, port_from, reason


class PortManager:
    """Ports of one node: `netlink` in the node's namespace, `objects` the pins of port.c."""

    def __init__(self, netlink: Netlink, objects: Objects) -> None:
        self._netlink = netlink
        self._objects = objects
        self._hooks = Hooks(netlink)

    def bring_up(self, spec: PortSpec, bridge_index: int) -> Port:
        """Make the link a policed port of the bridge and set it up.

        Raises NetlinkError when there is no such link; PortError, and then nothing was touched when the link is another
        bridge's port, else the link is down.
        """
        mac, ip = mac_bytes(spec.mac), ip_bytes(spec.ip)
        state = PortState.HELD if spec.held else PortState.LIVE
        link = self._netlink.link(spec.ifindex)
        self._check(link, bridge_index)
        try:
            if link.up:
                self._netlink.set(spec.ifindex, up=False)
            self._attach(spec.ifindex)
            self._write(spec.ifindex, (tuple(mac), spec.vlan, tuple(ip)), state, bridge_index, spec.slot)
            self._objects.put("macs", (bridge_index, tuple(mac), spec.vlan), (spec.ifindex,))
            self._netlink.set(spec.ifindex, master=bridge_index)
            if spec.held:
                self._netlink.set_brport(spec.ifindex, learning=1, locked=0)
            else:
                self._pin(spec.ifindex, spec.mac, bridge_index, spec.vlan)
            self._netlink.set(spec.ifindex, up=True)
        except BasculeError as error:
            self._close(spec.ifindex)
            name = f"{link.name} ({spec.network}/{spec.vlan}, {spec.mac})"
            raise PortError(f"port {name} stays down", cause=reason(error), fix=error.fix) from error
        return self.port(spec.ifindex)

    def _check(self, link: Link, bridge_index: int) -> None:
        if link.master not in (0, bridge_index):
            raise PortError(f"link {link.name} is a port of {self._name(link.master)} already", fix="it stays as it is")

    def _name(self, index: int) -> str:
        link = self._netlink.find(index)
        return link.name if link else f"if{index}"

    def _attach(self, ifindex: int) -> None:
        for direction, program in PROGRAMS.items():
            self._hooks.attach(ifindex, direction, self._objects.programs[program])
            found = self._hooks.ids(ifindex, direction)
            if found != [self._objects.program_id(program)]:
                raise PortError(f"{program} does not read back", cause=f"programs {found} are on {direction}")

    def _write(self, ifindex: int, nic: tuple[Any, ...], state: PortState, bridge: int, slot: int) -> None:
        self._objects.put("ports", (ifindex,), (*nic, int(state), bridge, slot, 0, 0))

    def _pin(self, ifindex: int, mac: str, bridge: int, vlan: int) -> None:
        self._netlink.replace_fdb(ifindex, mac, self._entry_vlan(bridge, vlan))
        self._netlink.set_brport(ifindex, learning=0, locked=1)

    def _entry_vlan(self, bridge: int, vlan: int) -> int:
        """The VLAN of a bridge's forwarding entries for this one: 0 where the bridge does not filter."""
        link = self._netlink.find(bridge)
        return vlan if link and link.bridge and link.bridge.vlan_filtering else 0

    def _close(self, ifindex: int) -> None:
        with contextlib.suppress(BasculeError):
            self._netlink.set(ifindex, up=False)
        with contextlib.suppress(BasculeError):
            self._set_state(ifindex, PortState.BLOCKED)

    def _set_state(self, ifindex: int, state: PortState) -> None:
        row = self._objects.get("ports", ifindex)
        if row is not None:
            port = port_from(ifindex, row)
            nic = (tuple(mac_bytes(port.mac)), port.vlan, tuple(ip_bytes(port.ip)))
            self._write(ifindex, nic, state, port.bridge, port.slot)

    def open_done(self, ifindex: int) -> Port:
        """After `opened` or `returned`: static entry, no learning, locked. Does nothing unless the port is live."""
        port = self.port(ifindex)
        if port.state is PortState.LIVE:
            self._pin(ifindex, port.mac, port.bridge, port.vlan)
        return port

    def move_done(self, ifindex: int) -> Port:
        """After `moved`: delete the static entry that the bridge took along to the trunk's side, so that it ages again.

        Does nothing unless the port is moved. Until the VM's next frame passes, its traffic floods within the VLAN.
        """
        port = self.port(ifindex)
        if port.state is PortState.MOVED:
            self._unpin(port)
        return port

    def _unpin(self, port: Port) -> None:
        vlan = self._entry_vlan(port.bridge, port.vlan)
        for entry in self._netlink.fdb(port.bridge):
            mine = (entry.mac, entry.vlan) == (port.mac, vlan)
            if mine and (entry.static or entry.index == port.ifindex):
                self._netlink.delete_fdb(entry.index, entry.mac, vlan)

    def take_down(self, ifindex: int) -> None:
        """Block the port, set it down, undo everything bring_up did. The link may be gone already.

        Where no port is registered only our programs go: a link that never became a port may be another's.
        """
        row = self._objects.get("ports", ifindex)
        port = None if row is None else port_from(ifindex, row)
        link = self._netlink.find(ifindex)
        if link is not None:
            if port is not None:
                self._close(ifindex)
                if link.master == port.bridge:
                    self._netlink.set(ifindex, master=0)
            for direction in PROGRAMS:
                self._hooks.detach(ifindex, direction)
        if port is not None:
            self._forget(port)

    def _forget(self, port: Port) -> None:
        ifindex = port.ifindex
        key = (port.bridge, tuple(mac_bytes(port.mac)), port.vlan)
        if self._objects.get("macs", *key) == ifindex:
            self._objects.remove("macs", *key)
            if port.state is PortState.MOVED:
                self._unpin(port)
        self._objects.remove("ports", ifindex)

    def port(self, ifindex: int) -> Port:
        """The port as the kernel has it. Raises PortError when there is none."""
        row = self._objects.get("ports", ifindex)
        if row is None:
            raise PortError(f"interface {ifindex} is not a port", fix="bring_up first")
        return port_from(ifindex, row)

    def state(self) -> dict[int, Port]:
        """Every port by ifindex."""
        keys, rows = self._objects.rows("ports")
        return {int(key): port_from(int(key), row) for key, row in zip(keys, rows, strict=True)}

    def adopt(self, only: Set[int] | None = None) -> list[Adopted]:
        """Ports in the maps (all, or those with these ifindexes) checked against the kernel. Changes nothing."""
        ports = [port for port in self.state().values() if only is None or port.ifindex in only]
        return [Adopted(port, tuple(self._problems(port))) for port in ports]

    def _problems(self, port: Port) -> list[str]:
        link = self._netlink.find(port.ifindex)
        if link is None:
            return ["its link is gone"]
        found = []
        for direction, program in PROGRAMS.items():
            if self._hooks.ids(port.ifindex, direction) != [self._objects.program_id(program)]:
                found.append(f"{direction} does not run {program}")
        if link.master != port.bridge:
            found.append(f"it is not a port of {self._name(port.bridge)}")
        if not link.up:
            found.append("it is down")
        flags = self._netlink.brport(port.ifindex) if link.master else {}
        if port.state is PortState.LIVE and flags and not flags.get("locked"):
            found.append("it is not locked yet")
        return found
