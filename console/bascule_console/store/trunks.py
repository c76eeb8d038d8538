"""What is known about trunks: candidates, the proof with its age, and what the doctor says of them.

A row is an object of `bascule trunks list`, a cell one of `bascule trunks prove`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bascule_console.store.inventory import Inventory
from bascule_console.store.topics import TRUNKS, Topics
from bascule_console.store.vms import NETWORKS, NODES

if TYPE_CHECKING:
    from bascule.doctor import Finding

Row = Mapping[str, Any]
Place = tuple[str, int]
"""(Network, VLAN id)."""
ABOUT_TRUNKS = frozenset(
    {"bridge-refused", "network-not-ready", "node-shadowed", "vlan-missing-on-trunk", "management-vlan-inside"}
)


@dataclass(frozen=True)
class Asked:
    """One round of asking every agent: what came back, why the others are silent, when (0: never), and what kept the
    round from being made at all."""

    rows: tuple[Row, ...] = ()
    silent: Mapping[str, str] | None = None
    at_ns: int = 0
    problem: str = ""

    @property
    def quiet(self) -> Mapping[str, str]:
        """Silent nodes with the reason."""
        return self.silent or {}


class TrunkBook:
    """The last round of candidates and the last proof; `proving` while one is on its way."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.candidates = Asked()
        self.proof = Asked()
        self.proving = False

    def keep_candidates(self, asked: Asked) -> None:
        """A round of candidates; one that could not be made leaves the rows of the one before."""
        self.candidates = _kept(self.candidates, asked)
        self._topics.touch(TRUNKS)

    def begin_proof(self) -> None:
        """The agents are being asked."""
        self.proving = True
        self._topics.touch(TRUNKS)

    def keep_proof(self, asked: Asked) -> None:
        """A proof has ended."""
        self.proof, self.proving = _kept(self.proof, asked), False
        self._topics.touch(TRUNKS)


def _kept(before: Asked, now: Asked) -> Asked:
    return Asked(before.rows, before.silent, before.at_ns, now.problem) if now.problem else now


def candidate_rows(asked: Asked) -> dict[tuple[str, str], Row]:
    """Candidates by (node, link); a silent node has one row without a link, whose `problem` is the reason."""
    found: dict[tuple[str, str], Row] = {(str(row["node"]), str(row["name"])): row for row in asked.rows}
    for node, why in asked.quiet.items():
        found[node, ""] = {"node": node, "name": "", "problem": why, "network": "", "default_route": False}
    return dict(sorted(found.items(), key=lambda item: item[0][0]))


@dataclass(frozen=True)
class VlanLine:
    """One VLAN of a Network across the nodes: node → cell."""

    network: str
    vlan: int
    cells: Mapping[str, Row]


def vlan_lines(cells: Iterable[Row]) -> dict[Place, VlanLine]:
    """The matrix by VLAN."""
    found: dict[Place, dict[str, Row]] = {}
    for cell in cells:
        found.setdefault((str(cell["network"]), int(cell["vlan"])), {})[str(cell["node"])] = cell
    return {place: VlanLine(*place, across) for place, across in sorted(found.items())}


def verdicts(cells: Iterable[Row]) -> dict[str, int]:
    """How many cells have which verdict."""
    found: dict[str, int] = {}
    for cell in cells:
        found[str(cell["verdict"])] = found.get(str(cell["verdict"]), 0) + 1
    return found


def trunk_findings(inventory: Inventory, reports: Mapping[str, Row], cells: Sequence[Row]) -> list[Finding]:
    """What `bascule doctor` says that concerns trunks. Other objects than Networks and Nodes are left out: only rules
    about something else look at them."""
    from bascule.doctor import Evidence, diagnose  # lint and all its rules: not before the first paint

    kinds = ((NETWORKS, "Network"), (NODES, "Node"))
    objects = tuple({**obj, "kind": kind} for plural, kind in kinds for obj in inventory.all(plural))
    known = {node: report for node, report in reports.items() if report.get("agent") is not None}
    found = diagnose(Evidence(objects, known, tuple(cells)))
    return [finding for finding in found if finding.id in ABOUT_TRUNKS or finding.id.startswith("trunk-")]
