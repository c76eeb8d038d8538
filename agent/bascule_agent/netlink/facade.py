"""`Netlink`: the operations on one namespace that the agent and the lab need, typed and blocking."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pyroute2
from pyroute2.netlink.exceptions import NetlinkError as KernelError

from bascule_agent.netlink.filters import BpfFilter, Filters
from bascule_agent.netlink.netns import NetnsThread, netns_path
from bascule_agent.netlink.rawaddresses import read_addresses, read_routes
from bascule_agent.netlink.rawbridge import RawBridge
from bascule_agent.netlink.rawlinks import RawLinks
from bascule_agent.netlink.request import Requests
from bascule_agent.netlink.types import Address, FdbEntry, Link, Neighbour, NetlinkError, PortVlan, Route
from bascule_agent.netlink.vlans import mac_is_set, read_vlans

T = TypeVar("T")
_NUD_PERMANENT = 0x80
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.EINVAL)


def _open_socket() -> Any:
    return pyroute2.IPRoute()


class Netlink:
    """rtnetlink in one namespace (name, path, or None for the caller's).

    What a pass needs often goes over a socket of our own (request.py), 20-50 µs a request. The rest is pyroute2's,
    about 1 ms, in the instance's own thread, which lives in the namespace: it runs an event loop inside every call, so
    it cannot be called where asyncio runs. Every call blocks; asyncio code calls from a worker thread. Calls of several
    threads are serialised. Every failure is a NetlinkError.
    """

    def __init__(self, netns: str | Path | None = None) -> None:
        self.netns = netns
        self._thread = NetnsThread(netns)
        self._ipr: Any = None
        self._requests = self._thread.run(Requests)
        self._links, self._filters = RawLinks(self._requests), Filters(self._requests)
        self._bridges = RawBridge(self._requests)

    def close(self) -> None:
        """Close the sockets and end the thread."""
        self._requests.close()
        if self._ipr is not None:
            self._thread.run(self._ipr.close)
        self._thread.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _do(self, what: str, fn: Callable[[Any], Any]) -> Any:
        try:
            return self._thread.run(lambda: fn(self._pyroute()))
        except KernelError as error:
            raise NetlinkError(f"{what}{self._where}", cause=os.strerror(error.code), code=error.code) from None

    def _pyroute(self) -> Any:
        """pyroute2's socket, made when it is first needed."""
        if self._ipr is None:
            self._ipr = _open_socket()
        return self._ipr

    @property
    def _where(self) -> str:
        return f" in {self.netns}" if self.netns else ""

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of our own socket say in which namespace they happened."""
        try:
            yield
        except NetlinkError as error:
            raise NetlinkError(f"{error.message}{self._where}", error.cause, error.fix, error.code) from None

    # links

    def links(self) -> list[Link]:
        """Every link of the namespace."""
        with self._told():
            return self._links.all()

    def find(self, ref: str | int) -> Link | None:
        """The link of that name or index, or None."""
        try:
            with self._told():
                return self._links.get(ref)
        except NetlinkError as error:
            if error.code in (errno.ENODEV, errno.ENOENT):
                return None
            raise

    def link(self, ref: str | int) -> Link:
        """The link of that name or index; NetlinkError (ENODEV) when there is none."""
        found = self.find(ref)
        if found is None:
            raise NetlinkError(f"no link {ref}{self._where}", code=errno.ENODEV)
        return found

    def add_bridge(
        self, name: str, mac: str, alias: str = "", mtu: int = 0, *, vlan_filtering: bool | None = None
    ) -> Link:
        """A bridge with a fixed MAC, no STP, no forwarding delay, no multicast snooping; down.

        `vlan_filtering`: keep VLANs apart. A kernel that cannot refuses, or ignores it: look at the answer. There is no
        default PVID either way: a bridge that does not filter would else keep each static entry once more, in VLAN 1,
        where no frame ever moves it.

        A MAC of its own, because a bridge's address follows its ports otherwise and moves when one joins. An MTU is set
        after creation, because only then the kernel keeps it when a port with another one joins.
        """
        with self._told():
            self._links.add_bridge(name, mac, vlan_filtering)
        return self._finished(name, alias, mtu)

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
        with self._netns_fd(peer_netns) as fd, self._told():
            self._links.add_veth(name, peer_name, mac, peer_mac, mtu, fd)
        return self._finished(name, alias, 0)

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

    def _finished(self, name: str, alias: str, mtu: int) -> Link:
        link = self.link(name)
        rest: dict[str, Any] = {**({"alias": alias} if alias else {}), **({"mtu": mtu} if mtu else {})}
        if rest:
            self.set(link.index, **rest)
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
        given = {"master": master, "alias": alias, "mtu": mtu, "mac": mac, "name": name}
        change: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        with self._netns_fd(netns) as fd, self._told():
            if fd is not None:
                change["netns_fd"] = fd
            self._links.set(index, up, change)

    def delete(self, index: int) -> None:
        """Delete a link (a veth takes its peer along)."""
        with self._told():
            self._links.delete(index)

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
        with self._told():
            return read_addresses(self._requests)

    def add_route(self, dst: str, *, via: str = "", index: int = 0) -> None:
        """Add a route to `dst` (CIDR, `0.0.0.0/0` or `default`) through a gateway, a link, or both."""
        how: dict[str, Any] = {**({"gateway": via} if via else {}), **({"oif": index} if index else {})}
        self._do(f"add route to {dst}", lambda ipr: ipr.route("add", dst=dst, **how))

    def routes(self) -> list[Route]:
        """The IPv4 routes of the main table."""
        with self._told():
            return read_routes(self._requests)

    def neighbours(self) -> list[Neighbour]:
        """The IPv4 neighbour table."""
        return [_neighbour(m) for m in self._do("list neighbours", lambda ipr: list(ipr.get_neighbours(family=2)))]

    def replace_neighbour(self, index: int, ip: str, mac: str) -> None:
        """A permanent neighbour entry on a link."""
        self._do(
            f"set neighbour {ip}",
            lambda ipr: ipr.neigh("replace", ifindex=index, dst=ip, lladdr=mac, state=_NUD_PERMANENT),
        )

    def delete_neighbour(self, index: int, ip: str) -> None:
        """Remove a neighbour entry; no error when it is gone."""
        try:
            self._do(f"delete neighbour {ip}", lambda ipr: ipr.neigh("del", ifindex=index, dst=ip))
        except NetlinkError as error:
            if error.code not in _ABSENT:
                raise

    # bridge ports and forwarding entries

    def fdb(self, bridge: int = 0) -> list[FdbEntry]:
        """The forwarding entries of every bridge, or of the bridge with index `bridge`; one per MAC and port."""
        with self._told():
            return [entry for entry in self._bridges.entries() if bridge in (0, entry.master)]

    def replace_fdb(self, port: int, mac: str, vlan: int = 0) -> None:
        """A static entry of the port's bridge: never ages, yet moves when the MAC appears at a learning port.

        Of a bridge that filters VLANs name the `vlan`: without, it makes one in each VLAN of the port and one in VLAN
        0, which no frame has and all ports share.
        """
        with self._told():
            self._bridges.replace(port, mac, vlan)

    def delete_fdb(self, port: int, mac: str, vlan: int = 0) -> bool:
        """Remove an entry of the port's bridge; False when that port has none for the MAC. `vlan` 0: in every VLAN of
        the port."""
        try:
            with self._told():
                self._bridges.remove(port, mac, vlan)
        except NetlinkError as error:
            if error.code in _ABSENT:
                return False
            raise
        return True

    def vlans(self, index: int = 0) -> list[PortVlan]:
        """The VLAN memberships of every bridge and bridge port, or of one link; [] where nothing filters VLANs."""
        with self._told():
            return read_vlans(self._requests, index)

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
        with self._told():
            self._bridges.set_flags(index, flags)

    def brport(self, index: int) -> dict[str, int]:
        """The flags of a bridge port by the names `set_brport` takes; {} when the link is no bridge port."""
        with self._told():
            return self._bridges.flags(index)

    # programs

    def inside(self, call: Callable[[], T]) -> T:
        """What a call returns that is made in this namespace."""
        return self._thread.run(call)

    def attach_bpf(self, index: int, direction: str, prog_fd: int, name: str) -> BpfFilter:
        """Put a program on one side ("ingress", "egress") of a link, replacing ours in place, and read it back.

        Handle and priority are always 1: with handle 0 the kernel adds a second filter instead of replacing. Ours is
        known by `name`; a filter of another name is never replaced. Raises NetlinkError unless the read-back shows
        exactly one filter.
        """
        self.refuse_others(index, direction, name)
        with self._told():
            self._filters.attach(index, direction, prog_fd, name)
        found = self.refuse_others(index, direction, name)
        if len(found) != 1:
            raise NetlinkError(f"link {index} {direction} has {len(found)} filters after attaching {name}, not one")
        return found[0]

    def refuse_others(self, index: int, direction: str, name: str) -> list[BpfFilter]:
        """The filters on one side of a link. Raises NetlinkError when one of them is not ours by `name`."""
        found = self.filters(index, direction)
        others = [entry.name or "without a name" for entry in found if entry.name != name]
        if others:
            raise NetlinkError(
                f"link {index} {direction} has another owner's filter: {', '.join(others)}",
                fix=f"look at `tc filter show dev … {direction}` and take it off",
            )
        return found

    def detach_bpf(self, index: int, direction: str, name: str) -> None:
        """Take the filter attached under `name` off one side of a link; none there is no error, nor is another's.

        clsact goes too when nobody's filter is left on either side.
        """
        if not any(entry.name == name for entry in self.filters(index, direction)):
            return
        with self._told():
            self._filters.detach(index, direction)
            self._filters.drop_clsact(index)

    def attach_before(self, index: int, direction: str, prog_fd: int, name: str, handle: int) -> bool:
        """Put a program before the others' filters on one side of a link, at a handle of its own. True when clsact had
        to be made for it."""
        with self._told():
            return self._filters.attach(index, direction, prog_fd, name, handle)

    def detach_before(self, index: int, direction: str, name: str, handle: int) -> None:
        """Take that one off again, and nothing else; none there is no error."""
        if any((entry.name, entry.handle) == (name, handle) for entry in self.filters(index, direction)):
            with self._told():
                self._filters.detach(index, direction, handle)

    def drop_clsact(self, index: int) -> None:
        """Take clsact off a link on which nobody's filter is left; the link may be gone."""
        with self._told():
            self._filters.drop_clsact(index)

    def filters(self, index: int, direction: str) -> list[BpfFilter]:
        """The bpf filters on one side of a link; [] when the link is gone."""
        with self._told():
            return self._filters.read(index, direction)

    def filter_holders(self) -> list[int]:
        """The ifindexes of links that can have filters: every other link has none."""
        with self._told():
            return self._filters.holders()


def _neighbour(message: Any) -> Neighbour:
    """pyroute2's RTM_NEWNEIGH of family AF_INET to a Neighbour."""
    attrs = dict(message.get("attrs") or [])
    permanent = bool(message["state"] & _NUD_PERMANENT)
    return Neighbour(message["ifindex"], attrs.get("NDA_DST", ""), attrs.get("NDA_LLADDR", ""), permanent)
