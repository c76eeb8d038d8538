"""Columns of the Network list and of one Network's matrix and nodes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bascule.resources.network import Network
from bascule_console.screens.overview.columns import TONES, symbol
from bascule_console.store.networks import NO_AGENT, READY, MatrixCell, NetworkRow, ranges
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs


@dataclass(frozen=True, slots=True)
class Listed:
    """A Network with the number of lint's findings about it, by severity."""

    row: NetworkRow
    errors: int
    warnings: int


@dataclass(frozen=True, slots=True)
class VlanRow:
    """One VLAN of a Network and its cells by node."""

    vlan: int
    cidr: str
    gateway: str
    cells: tuple[MatrixCell, ...]

    @property
    def nics(self) -> int:
        """Running NICs on all nodes."""
        return sum(cell.nics for cell in self.cells)


@dataclass(frozen=True, slots=True)
class NodeLine:
    """What one node says about the Network."""

    node: str
    state: str
    reason: str


def list_columns(glyphs: Glyphs) -> list[Column[Listed]]:
    """The list of Networks."""

    def tone(row: Listed) -> str:
        return "unknown" if row.row.ready == NO_AGENT else "good" if row.row.healthy else "bad"

    def ready(row: Listed) -> str:
        mark = {"good": glyphs.good, "bad": glyphs.bad}.get(tone(row), glyphs.unknown)
        return f"{mark} {row.row.ready}"

    def found(row: Listed) -> str:
        parts = [(glyphs.bad, row.errors), (glyphs.busy, row.warnings)]
        return " ".join(f"{mark} {number}" for mark, number in parts if number) or glyphs.good

    def lint_tone(row: Listed) -> str:
        return "bad" if row.errors else "busy" if row.warnings else "good"

    return [
        Column(
            "name", "NETWORK", 14, lambda r: r.row.name, lambda r: r.row.name, tone=lambda _: "name", grow=2, most=40
        ),
        Column("vlans", "VLANS", 14, lambda r: ranges(r.row.vlans), lambda r: r.row.vlans, grow=2, most=40),
        Column("ready", "READY", 10, ready, lambda r: (tone(r), r.row.ready), tone=tone),
        Column("nads", "NADS", 4, lambda r: str(len(r.row.nads)), lambda r: len(r.row.nads), priority=4, right=True),
        Column(
            "attached", "ATTACHED", 8, lambda r: str(len(r.row.attached)), lambda r: len(r.row.attached), 1, right=True
        ),
        Column("lint", "LINT", 6, found, lambda r: (-r.errors, -r.warnings), priority=2, tone=lint_tone),
        Column("bridges", "BRIDGE", 9, lambda r: ",".join(r.row.bridges), lambda r: r.row.bridges, 5, grow=1, most=20),
        Column("trunks", "TRUNK", 9, lambda r: ",".join(r.row.trunks), lambda r: r.row.trunks, 3, grow=1, most=30),
    ]


def matrix_columns(nodes: Sequence[str], glyphs: Glyphs) -> list[Column[VlanRow]]:
    """VLANs down, nodes across; a cell is the state's symbol and the number of running NICs there."""
    fixed: list[Column[VlanRow]] = [
        Column("vlan", "VLAN", 5, lambda r: str(r.vlan), lambda r: r.vlan, tone=lambda _: "name", right=True),
        Column("cidr", "SUBNET", 18, lambda r: r.cidr, lambda r: r.cidr, priority=2, grow=1, most=20),
        Column("gateway", "GATEWAY", 15, lambda r: r.gateway, lambda r: r.gateway, priority=90),
        Column("nics", "NICS", 5, lambda r: str(r.nics), lambda r: r.nics, priority=1, right=True),
    ]
    return fixed + [_node_column(node, at, glyphs) for at, node in enumerate(nodes)]


def _node_column(node: str, at: int, glyphs: Glyphs) -> Column[VlanRow]:
    def cell(row: VlanRow) -> MatrixCell | None:
        return row.cells[at] if at < len(row.cells) else None

    def words(row: VlanRow) -> str:
        found = cell(row)
        if found is None:
            return ""
        count = f" {found.nics}" if found.nics else f" {glyphs.dot}"
        return symbol(glyphs, found.state) + (count if found.state == READY else f" {found.state}")

    def tone(row: VlanRow) -> str:
        found = cell(row)
        return TONES[found.state] if found else ""

    return Column(
        f"node-{node}",
        node.upper(),
        max(9, min(14, len(node))),
        words,
        lambda row: (tone(row), found.nics if (found := cell(row)) else 0),
        priority=3 + at,
        tone=tone,
        grow=1,
        most=16,
    )


def node_columns(glyphs: Glyphs, network: str) -> list[Column[NodeLine]]:
    """What each node's agent says about this Network, whose name its message begins with."""

    def says(line: NodeLine) -> str:
        return line.reason.replace(f": {network}: ", ": ", 1)

    return [
        Column("node", "NODE", 12, lambda r: r.node, lambda r: r.node, tone=lambda _: "name", grow=1, most=24),
        Column(
            "state",
            "STATE",
            14,
            lambda r: f"{symbol(glyphs, r.state)} {r.state}",
            lambda r: r.state,
            tone=lambda r: TONES[r.state],
        ),
        Column("reason", "IT SAYS", 30, says, lambda r: r.reason, grow=3, most=200),
    ]


def vlan_rows(document: Mapping[str, object], cells: Sequence[MatrixCell]) -> dict[int, VlanRow]:
    """The matrix by VLAN."""
    network = Network.of(document)
    by_vlan: dict[int, list[MatrixCell]] = {}
    for cell in cells:
        by_vlan.setdefault(cell.vlan, []).append(cell)
    rows = {}
    for vlan in sorted(network.carried_vlans()):
        subnets = network.subnets_of(vlan)
        routes = [route.next_hop for subnet in subnets for route in subnet.routes]
        cidrs = ",".join(subnet.cidr for subnet in subnets)
        rows[vlan] = VlanRow(vlan, cidrs, ",".join(routes), tuple(by_vlan.get(vlan, ())))
    return rows


def facts(document: Mapping[str, object], row: NetworkRow, glyphs: Glyphs) -> list[str]:
    """A Network in a few lines: one per hostConfig, then who hangs on it."""
    lines = []
    for config in Network.of(document).host_configs:
        where = f"nodes {config.node_selector}" if config.node_selector else "every node"
        bridge = "managed bridge" if config.bridge.managed else f"bridge {config.bridge.name}"
        trunk = f"trunk {config.trunk.interface}" if config.trunk else "no trunk"
        native = f", native VLAN {config.trunk.native_vlan}" if config.trunk and config.trunk.native_vlan else ""
        lines.append(f"{where} {glyphs.arrow} {bridge}, {trunk}{native}")
    lines.append(f"NADs: {', '.join(row.nads) or 'none'}")
    lines.append(f"attached ({len(row.attached)}): {', '.join(row.attached) or 'none'}")
    return lines
