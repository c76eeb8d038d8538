"""`Netlink`: the operations on one namespace that the agent and the lab need, typed and blocking."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pyroute2
from pyroute2.netlink.exceptions import NetlinkError as KernelError

from bascule_agent.netlink import decode
from bascule_agent.netlink.filters import BpfFilter, has_filters, read_filters
from bascule_agent.netlink.netns import NetnsThread, netns_path
from bascule_agent.netlink.types import Address, FdbEntry, Link, Neighbour, NetlinkError, PortVlan, Route
from bascule_agent.netlink.vlans import mac_is_set, read_vlans

_PARENTS = {"ingress": "ffff:fff2", "egress": "ffff:fff3"}
_ETH_P_ALL = 3
_PRIO, _HANDLE = 1, 1


def _open_socket() -> Any:
    return pyroute2.IPRoute()


class Netlink:
    """rtnetlink in one namespace (name, path, or None for the caller's).

    Requests run in the instance's own thread, which lives in the namespace: pyroute2 runs an event loop inside every
    call, so it cannot be called where asyncio runs. A call blocks for about 1 ms (dumps: 1-2 ms a link); asyncio code
    calls from a worker thread. Calls of several threads are serialised. Every failure is a NetlinkError.
    """

    def __init__(self, netns: str | Path | None = None) -> None:
        self.netns = netns
        self._thread = NetnsThread(netns)
        self._ipr = self._thread.run(_open_socket)

    def close(self) -> None:
        """Close the socket and end the thread."""
        self._thread.run(self._ipr.close)
        self._thread.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _do(self, what: str, fn: Callable[[Any], Any]) -> Any:
        try:
            return self._thread.run(lambda: fn(self._ipr))
        except KernelError as error:
            where = f" in {self.netns}" if self.netns else ""
            raise NetlinkError(f"{what}{where}", cause=os.strerror(error.code), code=error.code) from None

    # links

    def links(self) -> list[Link]:
        """Every link of the namespace."""
        return [decode.link(m) for m in self._do("list links", lambda ipr: list(ipr.link("dump")))]

    def find(self, ref: str | int) -> Link | None:
        """The link of that name or index, or None."""
        query: dict[str, Any] = {"index": ref} if isinstance(ref, int) else {"ifname": ref}
        try:
            found = self._do(f"read link {ref}", lambda ipr: list(ipr.link("get", **query)))
        except NetlinkError as error:
            if error.code in (errno.ENODEV, errno.ENOENT):
                return None
            raise
        return decode.link(found[0]) if found else None

    def link(self, ref: str | int) -> Link:
        """The link of that name or index; NetlinkError (ENODEV) when there is none."""
        found = self.find(ref)
        if found is None:
            where = f" in {self.netns}" if self.netns else ""
            raise NetlinkError(f"no link {ref}{where}", code=errno.ENODEV)
        return found

    def add_bridge(
        self, name: str, mac: str, alias: str = "", mtu: int = 0, *, vlan_filtering: bool | None = None
    ) -> Link:
        """A bridge with a fixed MAC, no STP, no forwarding delay, no multicast snooping; down.

        `vlan_filtering`: keep VLANs apart, with no default PVID. A kernel that cannot refuses, or ignores it: look at
        the answer.

        A MAC of its own, because a bridge's address follows its ports otherwise and moves when one joins. An MTU is set
        after creation, because only then the kernel keeps it when a port with another one joins.
        """
        options = {"br_forward_delay": 0, "br_mcast_snooping": 0, "br_stp_state": 0}
        if vlan_filtering is not None:
            options |= {"br_vlan_filtering": int(vlan_filtering), "br_vlan_default_pvid": 0}
        self._do(
            f"add bridge {name}",
            lambda ipr: ipr.link("add", ifname=name, kind="bridge", address=mac, **options),
        )
        if mtu:
            self.set(self.link(name).index, mtu=mtu)
        return self._aliased(name, alias)

    def add_veth(
        self,
        name: str,
        peer_name: str,
        *,
        peer_netns: str | Path | None = None,
        mac: str = "",
        peer_mac: str = "",
        alias: str = "",
        mtu: int = 0,
    ) -> Link:
        """A veth pair, both ends down; the peer is made in `peer_netns` when given. Returns the near end."""
        near: dict[str, Any] = {"ifname": name, **({"address": mac} if mac else {}), **({"mtu": mtu} if mtu else {})}
        peer: dict[str, Any] = {"ifname": peer_name, **({"address": peer_mac} if peer_mac else {})}
        if mtu:
            peer["mtu"] = mtu
        with self._netns_fd(peer_netns) as fd:
            if fd is not None:
                peer["net_ns_fd"] = fd
            self._do(f"add veth {name}", lambda ipr: ipr.link("add", kind="veth", peer=peer, **near))
        return self._aliased(name, alias)

    @contextlib.contextmanager
    def _netns_fd(self, netns: str | Path | None) -> Iterator[int | None]:
        if netns is None:
            yield None
            return
        try:
            fd = os.open(netns_path(netns), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NetlinkError(f"no network namespace {netns}", cause=str(error), code=error.errno or 0) from None
        try:
            yield fd
        finally:
            os.close(fd)

    def _aliased(self, name: str, alias: str) -> Link:
        link = self.link(name)
        if alias:
            self.set(link.index, alias=alias)
            link = self.link(link.index)
        return link

    def set(
        self,
        index: int,
        *,
        up: bool | None = None,
        master: int | None = None,
        alias: str | None = None,
        mtu: int | None = None,
        mac: str | None = None,
        name: str | None = None,
        netns: str | Path | None = None,
    ) -> None:
        """Change a link; what is None stays. `master=0` takes it out of its bridge; a new name needs the link down."""
        given = {"master": master, "ifalias": alias, "mtu": mtu, "address": mac, "ifname": name}
        change: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if up is not None:
            change["state"] = "up" if up else "down"
        with self._netns_fd(netns) as fd:
            if fd is not None:
                change["net_ns_fd"] = fd
            self._do(f"set link {index}", lambda ipr: ipr.link("set", index=index, **change))

    def delete(self, index: int) -> None:
        """Delete a link (a veth takes its peer along)."""
        self._do(f"delete link {index}", lambda ipr: ipr.link("del", index=index))

    # addresses, routes, neighbours

    def add_address(self, index: int, cidr: str) -> None:
        """Add an IPv4 address, `10.0.0.1/24`."""
        address, _, length = cidr.partition("/")
        self._do(
            f"add address {cidr} to link {index}",
            lambda ipr: ipr.addr("add", index=index, address=address, prefixlen=int(length)),
        )

    def addresses(self) -> list[Address]:
        """Every IPv4 address of the namespace."""
        return [decode.address(m) for m in self._do("list addresses", lambda ipr: list(ipr.get_addr(family=2)))]

    def add_route(self, dst: str, *, via: str = "", index: int = 0) -> None:
        """Add a route to `dst` (CIDR, `0.0.0.0/0` or `default`) through a gateway, a link, or both."""
        how: dict[str, Any] = {**({"gateway": via} if via else {}), **({"oif": index} if index else {})}
        self._do(f"add route to {dst}", lambda ipr: ipr.route("add", dst=dst, **how))

    def routes(self) -> list[Route]:
        """The IPv4 routes of the main table."""
        return [decode.route(m) for m in self._do("list routes", lambda ipr: list(ipr.get_routes(family=2, table=254)))]

    def neighbours(self) -> list[Neighbour]:
        """The IPv4 neighbour table."""
        return [
            decode.neighbour(m) for m in self._do("list neighbours", lambda ipr: list(ipr.get_neighbours(family=2)))
        ]

    def replace_neighbour(self, index: int, ip: str, mac: str) -> None:
        """A permanent neighbour entry on a link."""
        self._do(
            f"set neighbour {ip}",
            lambda ipr: ipr.neigh("replace", ifindex=index, dst=ip, lladdr=mac, state=decode.NUD_PERMANENT),
        )

    def delete_neighbour(self, index: int, ip: str) -> None:
        """Remove a neighbour entry; no error when it is gone."""
        self._do_absent_ok(f"delete neighbour {ip}", lambda ipr: ipr.neigh("del", ifindex=index, dst=ip))

    def _do_absent_ok(self, what: str, fn: Callable[[Any], Any]) -> bool:
        try:
            self._do(what, fn)
        except NetlinkError as error:
            if error.code in (errno.ENOENT, errno.ENODEV, errno.EINVAL):
                return False
            raise
        return True

    # bridge ports and forwarding entries

    def fdb(self, bridge: int = 0) -> list[FdbEntry]:
        """The forwarding entries of every bridge, or of the bridge with index `bridge`; one per MAC and port."""
        entries = (
            decode.fdb(m)
            for m in self._do("list forwarding entries", lambda ipr: list(ipr.get_neighbours(family=decode.AF_BRIDGE)))
        )
        return [entry for entry in entries if entry.master and bridge in (0, entry.master)]

    def replace_fdb(self, port: int, mac: str, vlan: int = 0) -> None:
        """A static entry of the port's bridge: never ages, yet moves when the MAC appears at a learning port.

        Of a bridge that filters VLANs name the `vlan`: without, it makes one in each VLAN of the port and one in VLAN
        0, which no frame has and all ports share.
        """
        where: dict[str, Any] = {"vlan": vlan} if vlan else {}
        self._do(
            f"set forwarding entry {mac} on link {port}",
            lambda ipr: ipr.neigh(
                "replace",
                family=decode.AF_BRIDGE,
                ifindex=port,
                lladdr=mac,
                flags=decode.NTF_MASTER,
                state=decode.NUD_NOARP | decode.NUD_REACHABLE,
                **where,
            ),
        )

    def delete_fdb(self, port: int, mac: str, vlan: int = 0) -> bool:
        """Remove an entry of the port's bridge; False when that port has none for the MAC. `vlan` 0: in every VLAN of
        the port."""
        where: dict[str, Any] = {"vlan": vlan} if vlan else {}
        return self._do_absent_ok(
            f"delete forwarding entry {mac} on link {port}",
            lambda ipr: ipr.neigh(
                "del", family=decode.AF_BRIDGE, ifindex=port, lladdr=mac, flags=decode.NTF_MASTER, **where
            ),
        )

    def vlans(self, index: int = 0) -> list[PortVlan]:
        """The VLAN memberships of every bridge and bridge port, or of one link; [] where nothing filters VLANs."""
        return self._thread.run(lambda: read_vlans(index))

    def add_vlan(self, index: int, vid: int, *, pvid: bool = False, untagged: bool = False) -> None:
        """Make a bridge port a member of a VLAN, or change how it is one. A port has one PVID: the last one set."""
        self._vlan("add", index, vid, (2 if pvid else 0) | (4 if untagged else 0))

    def delete_vlan(self, index: int, vid: int) -> None:
        """End a bridge port's membership; no error when there is none."""
        try:
            self._vlan("del", index, vid, 0)
        except NetlinkError as error:
            if error.code not in (errno.ENOENT, errno.ENODEV):
                raise

    def _vlan(self, command: str, index: int, vid: int, flags: int) -> None:
        self._do(
            f"{command} VLAN {vid} of bridge port {index}",
            lambda ipr: ipr.vlan_filter(command, index=index, vlan_info={"vid": vid, "flags": flags}),
        )

    def mac_is_set(self, name: str) -> bool | None:
        """Was the link's MAC set by somebody, so that it stays? None when the kernel does not tell."""
        return self._thread.run(lambda: mac_is_set(name))

    def set_brport(self, index: int, **flags: int) -> None:
        """Set flags of a bridge port: learning, locked, isolated, unicast_flood, neigh_suppress … (0 or 1)."""
        self._do(f"set bridge port {index} {flags}", lambda ipr: ipr.brport("set", index=index, **flags))

    def brport(self, index: int) -> dict[str, int]:
        """The flags of a bridge port by the names `set_brport` takes; {} when the link is no bridge port."""
        (message,) = self._do(f"read bridge port {index}", lambda ipr: list(ipr.link("get", index=index)))
        info = decode.attributes(decode.attributes(message).get("IFLA_LINKINFO") or {})
        if info.get("IFLA_INFO_SLAVE_KIND") != "bridge":
            return {}
        data = decode.attributes(info.get("IFLA_INFO_SLAVE_DATA") or {})
        prefix = "IFLA_BRPORT_"
        return {key[len(prefix) :].lower(): value for key, value in data.items() if isinstance(value, int)}

    # programs

    def attach_bpf(self, index: int, direction: str, prog_fd: int, name: str) -> BpfFilter:
        """Put a program on one side ("ingress", "egress") of a link, replacing ours in place, and read it back.

        Handle and priority are always 1: with handle 0 the kernel adds a second filter instead of replacing. Ours is
        known by `name`; a filter of another name is never replaced. Raises NetlinkError unless the read-back shows
        exactly one filter.
        """
        self._refuse_others(index, direction, name)
        self._clsact(index)
        self._do(
            f"attach {name} to link {index} {direction}",
            lambda ipr: ipr.tc(
                "replace-filter",
                "bpf",
                index,
                _HANDLE,
                fd=prog_fd,
                name=name,
                parent=_PARENTS[direction],
                prio=_PRIO,
                protocol=_ETH_P_ALL,
                direct_action=True,
                classid=1,
            ),
        )
        found = self._refuse_others(index, direction, name)
        if len(found) != 1:
            raise NetlinkError(f"link {index} {direction} has {len(found)} filters after attaching {name}, not one")
        return found[0]

    def _refuse_others(self, index: int, direction: str, name: str) -> list[BpfFilter]:
        found = self.filters(index, direction)
        others = [entry.name or "without a name" for entry in found if entry.name != name]
        if others:
            raise NetlinkError(
                f"link {index} {direction} has another owner's filter: {', '.join(others)}",
                fix=f"look at `tc filter show dev … {direction}` and take it off",
            )
        return found

    def _clsact(self, index: int) -> None:
        try:
            self._do(f"add clsact to link {index}", lambda ipr: ipr.tc("add", "clsact", index))
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise

    def detach_bpf(self, index: int, direction: str, name: str) -> None:
        """Take the filter attached under `name` off one side of a link; none there is no error, nor is another's.

        clsact goes too when nobody's filter is left on either side.
        """
        if not any(entry.name == name for entry in self.filters(index, direction)):
            return
        self._do(
            f"detach program from link {index} {direction}",
            lambda ipr: ipr.tc(
                "del-filter", "bpf", index, _HANDLE, parent=_PARENTS[direction], prio=_PRIO, protocol=_ETH_P_ALL
            ),
        )
        if not any(self._thread.run(lambda: has_filters(index))):
            self._do_absent_ok(f"delete clsact of link {index}", lambda ipr: ipr.tc("del", "clsact", index))

    def filters(self, index: int, direction: str) -> list[BpfFilter]:
        """The bpf filters on one side of a link; [] when the link is gone."""
        return self._thread.run(lambda: read_filters(index, direction))
