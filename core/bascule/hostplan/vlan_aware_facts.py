"""What is observed of bridges that keep VLANs apart themselves: settings, memberships, and our own ledger.

The ledger says which memberships and which trunk's place in a bridge are ours: a bridge of another owner loses nothing
that we have not added. The driver keeps it in a pinned map, so it outlives the agent as long as the bridge does.
"""

from __future__ import annotations

from typing import NamedTuple


class BridgeFacts(NamedTuple):
    """A bridge's settings, `bridge` its ifindex; None is "cannot tell".

    `filtering`: VLAN filtering is on; `protocol`: "802.1Q" or "802.1ad"; `default_pvid`: the VLAN that the kernel gives
    every new port, 0 for none; `pinned`: its MAC was set.
    """

    bridge: int
    filtering: bool | None = None
    protocol: str | None = None
    default_pvid: int | None = None
    pinned: bool | None = None


class Member(NamedTuple):
    """A VLAN membership of a port; a bridge's own (`self`) ones stand under the bridge's ifindex."""

    port: int
    vid: int
    pvid: bool = False
    untagged: bool = False


class Carried(NamedTuple):
    """The ledger: this trunk carries this VLAN for the bridge. `added`: the membership is ours."""

    trunk: int
    vid: int
    bridge: int
    added: bool


class Watched(NamedTuple):
    """The trunk's ingress runs our program that notices moves into VLANs of this bridge; `native` is the VLAN of
    untagged frames, 0 for none."""

    trunk: int
    bridge: int
    native: int


class Joined(NamedTuple):
    """The ledger: this trunk is a port of the bridge because we made it one."""

    trunk: int
    bridge: int
