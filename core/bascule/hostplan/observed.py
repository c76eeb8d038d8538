"""What a node looks like now, as netlink and our maps report it. Built by the agent, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bascule.hostplan.names import KINDS, Owner, index_name, parse_alias, parse_index_name
from bascule.hostplan.vlan_aware_facts import BridgeFacts, Carried, Joined, Member, Watched


@dataclass(frozen=True, slots=True)
class ObservedLink:
    """One link of the node's namespace.

    `kind` is IFLA_INFO_KIND ("" for a physical link and lo); `up` is IFF_UP; `master` is an ifindex, 0 for none;
    `peer` is IFLA_LINK, the other end of a veth or the link below a VLAN device, 0 for none or when it is in another
    namespace; `default_route` is true when a default route leaves through this very link.
    """

    index: int
    name: str
    kind: str = ""
    alias: str = ""
    up: bool = False
    carrier: bool = False
    mtu: int = 1500
    mac: str = ""
    master: int = 0
    peer: int = 0
    default_route: bool = False

    @property
    def owner(self) -> Owner | None:
        """Whose link it is: set only when the alias is ours and the kind is the role's."""
        owner = parse_alias(self.alias)
        return owner if owner and KINDS[owner.role] == self.kind else None


@dataclass(frozen=True)
class Observed:
    """All links, and the contents of the maps of the per_vlan driver. All numbers but VLAN ids are ifindexes; entries
    whose links are gone are listed too, so that they get removed.

    `demux`: (trunk, vid, stub), where stub is the link of role s that tagged frames are redirected to;
    `mux`: (stub, trunk, vid), a map entry; while the stub exists, only when our program sits on its egress too;
    `native`: (trunk, vid); `attached`: links whose ingress runs the trunk program. `bridges`, `vlans`, `carried`,
    `joined` and `watched` are the vlan_aware driver's (vlan_aware_facts.py).
    """

    links: tuple[ObservedLink, ...] = ()
    demux: frozenset[tuple[int, int, int]] = frozenset()
    mux: frozenset[tuple[int, int, int]] = frozenset()
    native: frozenset[tuple[int, int]] = frozenset()
    attached: frozenset[int] = frozenset()
    addresses: frozenset[tuple[int, str]] = frozenset()
    bridges: frozenset[BridgeFacts] = frozenset()
    vlans: frozenset[Member] = frozenset()
    carried: frozenset[Carried] = frozenset()
    joined: frozenset[Joined] = frozenset()
    watched: frozenset[Watched] = frozenset()

    @cached_property
    def by_name(self) -> dict[str, ObservedLink]:
        return {link.name: link for link in self.links}

    @cached_property
    def by_index(self) -> dict[int, ObservedLink]:
        return {link.index: link for link in self.links}

    def name_of(self, index: int) -> str:
        """The link's name, or `if<index>` when it is gone."""
        link = self.by_index.get(index)
        return link.name if link else index_name(index)

    def index_of(self, name: str) -> int | None:
        """The reverse of `name_of`; None for a name that is neither."""
        link = self.by_name.get(name)
        return link.index if link else parse_index_name(name)
