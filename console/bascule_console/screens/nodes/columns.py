"""What the node tables show. A row is a document of `bascule nodes list`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs

Row = Mapping[str, Any]
NO_AGENT = "no agent"


def ranges(vlans: list[int]) -> str:
    """VLAN ids in short: 100,110-113."""
    parts: list[list[int]] = []
    for vid in sorted(vlans):
        if parts and vid == parts[-1][-1] + 1:
            parts[-1][1:] = [vid]
        else:
            parts.append([vid])
    return ",".join("-".join(str(vid) for vid in part) for part in parts)


def clock_words(row: Row) -> str:
    """The node's clock against the cluster's time, with its error."""
    clock = row.get("clock")
    if row["agent"] is None or not clock:
        return NO_AGENT if row["agent"] is None else "not told"
    return f"{clock['offset_ns'] / 1e6:+.1f} ms ±{clock['error_ns'] / 1e6:.1f}"


def node_columns(glyphs: Glyphs) -> list[Column[Row]]:
    """The node table's columns. A fact that only an agent has says so where there is none."""

    def told(text: Callable[[Row], Any], otherwise: str = "-") -> Callable[[Row], str]:
        return lambda row: otherwise if row["agent"] is None else str(text(row))

    def agent(row: Row) -> str:
        if row["agent"] is None:
            return f"{glyphs.bad} {NO_AGENT}"
        return f"{glyphs.good} {row['agent'].get('mode', '')} {row['agent'].get('version', '')}".rstrip()

    def ready(row: Row) -> str:
        if row["ready"] and row.get("cordoned"):
            return f"{glyphs.busy} cordoned"
        return f"{glyphs.good} ready" if row["ready"] else f"{glyphs.bad} not ready"

    def carrier(row: Row) -> str:
        if not row["trunk"]:
            return "-"
        return f"{glyphs.good} up" if row["trunk"].get("carrier") else f"{glyphs.bad} down"

    def networks(row: Row) -> str:
        good = sum(each["status"] == "True" for each in row["conditions"])
        return f"{good}/{len(row['conditions'])}" if row["conditions"] else "-"

    trunk = told(lambda r: (r["trunk"] or {}).get("name") or "none", NO_AGENT)
    vlans = told(lambda r: ranges((r["trunk"] or {}).get("vlans") or []) or "-")
    release = told(lambda r: (r.get("kernel") or {}).get("release", ""), NO_AGENT)
    return [
        Column("name", "NAME", 10, lambda r: r["name"], lambda r: r["name"], tone=lambda _: "name", grow=2, most=24),
        Column("ready", "READY", 11, ready, lambda r: r["ready"], tone=ready_tone),
        Column("agent", "AGENT", 15, agent, agent, tone=agent_tone, grow=1, most=20),
        Column("trunk", "TRUNK", 8, trunk, trunk, priority=2, tone=agent_ink, grow=1, most=15),
        Column("carrier", "CARRIER", 7, carrier, carrier, priority=3, tone=carrier_tone),
        Column("mtu", "MTU", 5, told(lambda r: (r["trunk"] or {}).get("mtu", "")), _mtu, priority=7, right=True),
        Column("vlans", "VLANS", 11, vlans, vlans, priority=4, grow=1, most=24),
        Column("bridges", "BRIDGES", 7, told(lambda r: len(r["bridges"])), _bridges, priority=6, right=True),
        Column("ports", "PORTS", 5, told(lambda r: len(r["ports"])), lambda r: len(r["ports"]), priority=5, right=True),
        Column("networks", "NETWORKS", 8, networks, networks, priority=8, right=True),
        Column("kernel", "KERNEL", 9, release, release, priority=9, tone=agent_ink, grow=1, most=24),
        Column("clock", "CLOCK", 14, clock_words, clock_words, priority=10, tone=agent_ink),
    ]


def ready_tone(row: Row) -> str:
    """The Node's own condition."""
    return "good" if row["ready"] else "bad"


def agent_tone(row: Row) -> str:
    """Whether the agent answers."""
    return "good" if row["agent"] is not None else "bad"


def agent_ink(row: Row) -> str:
    """Facts of a silent agent are muted."""
    return "" if row["agent"] is not None else "muted"


def carrier_tone(row: Row) -> str:
    """The trunk's carrier."""
    return "muted" if not row["trunk"] else "good" if row["trunk"].get("carrier") else "bad"


def port_tone(row: Row) -> str:
    """A port's state."""
    return {"live": "good", "blocked": "bad", "moved": "muted"}.get(str(row["state"]), "busy")


def port_columns(glyphs: Glyphs) -> list[Column[Row]]:
    """A node's ports."""
    symbols = {"good": glyphs.good, "bad": glyphs.bad, "muted": glyphs.off, "busy": glyphs.busy}

    def state(row: Row) -> str:
        words = f"{symbols[port_tone(row)]} {row['state']}"
        return f"{words}: {row['reason']}" if row.get("reason") else words

    return [
        Column("vm", "VM", 14, lambda r: str(r["vm"]), lambda r: r["vm"], tone=lambda _: "name", grow=2, most=30),
        Column("nic", "NIC", 6, lambda r: str(r["nic"]), lambda r: r["nic"], priority=4, grow=1, most=14),
        Column("network", "NETWORK", 8, _of("network"), _of("network"), priority=5, grow=1, most=14),
        Column("vlan", "VLAN", 4, _of("vlan"), lambda r: r["vlan"], right=True),
        Column("mac", "MAC", 17, _of("mac"), _of("mac"), priority=2),
        Column("ip", "IP", 15, _of("ip"), _of("ip"), priority=1),
        Column("ifindex", "IFINDEX", 7, _of("ifindex"), _of("ifindex"), priority=6, right=True),
        Column("state", "STATE", 10, state, _of("state"), tone=port_tone, grow=3, most=60),
    ]


def link_columns(glyphs: Glyphs) -> list[Column[Row]]:
    """A node's trunk and bridges, as `links_of` gives them."""

    def state(row: Row) -> str:
        return f"{glyphs.good} up" if row["up"] else f"{glyphs.bad} down"

    def tone(row: Row) -> str:
        return "good" if row["up"] else "bad"

    return [
        Column("name", "LINK", 16, _of("name"), _of("name"), tone=lambda _: "name"),
        Column("kind", "KIND", 7, _of("kind"), _of("kind")),
        Column("state", "STATE", 6, state, _of("up"), tone=tone),
        Column("network", "NETWORK", 8, _of("network"), _of("network"), priority=3, grow=1, most=14),
        Column("vlans", "VLANS", 12, _of("vlans"), _of("vlans"), priority=1, grow=1, most=24),
        Column("mtu", "MTU", 5, _of("mtu"), _of("mtu"), priority=4, right=True),
        Column("members", "MEMBERS", 16, _of("members"), _of("members"), priority=2, grow=3, most=80),
    ]


def links_of(row: Row) -> list[Row]:
    """The links that the agent reports: the trunk, then each bridge with its members."""
    found: list[Row] = []
    trunk = row["trunk"]
    if trunk and trunk.get("name"):
        native = f" native {trunk['native']}" if trunk.get("native") else ""
        vlans = ranges(trunk.get("vlans") or []) + native
        mtu = trunk.get("mtu", "")
        more = {"network": "", "vlans": vlans, "mtu": mtu, "members": ""}
        found.append({"name": trunk["name"], "kind": "trunk", "up": bool(trunk.get("carrier")), **more})
    for bridge in row["bridges"]:
        more = {"network": bridge["network"], "vlans": bridge["vlan"], "mtu": bridge.get("mtu", "")}
        members = " ".join(bridge["ports"])
        found.append({"name": bridge["name"], "kind": "bridge", "up": bool(bridge["up"]), **more, "members": members})
    return found


def _of(key: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(key, ""))


def _mtu(row: Row) -> int:
    return int((row["trunk"] or {}).get("mtu") or 0)


def _bridges(row: Row) -> int:
    return len(row["bridges"])
