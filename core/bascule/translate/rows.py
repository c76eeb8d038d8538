"""First-match lists of both sides in one form: what one NIC's rules say about packets between it and any address.

Old side: from the ordered-rule model, by its own meaning. New side: from the programs that the agent enforces
(bascule.policy.compile), so that what is proven is what the data plane will do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.policy import intervals
from bascule.policy.compile import Compiler
from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.layout import ALLOW as ROW_ALLOW
from bascule.policy.layout import DENY as ROW_DENY
from bascule.policy.layout import LOG, NOT_PROTO, PASS, Limits
from bascule.policy.model import PolicySet
from bascule.translate.addresses import address_text
from bascule.translate.calico import Translation
from bascule.translate.members import Membership
from bascule.translate.model import ALLOW, EVERYTHING, IN, JUMP, OUT, Peers, Rule, RuleBase
from bascule.translate.world import PERMIT, REFUSE, ROWS, Box, Point, Rows, World, kept

NO_FIREWALL = "no firewall"


class OldSide:
    """First-match lists of the source. The last row of each always matches."""

    def __init__(self, base: RuleBase, world: World) -> None:
        self._base, self._world = base, world
        self._names = [NO_FIREWALL, "default"]
        members = Membership(base)
        everyone = np.array([base.nics[point.nic].governed for point in world.points], bool)
        rows: list[tuple[int, ...]] = []
        chosen: list[NDArray[np.bool_]] = []
        for stage in base.stages:
            rules = [rule for rule in stage.rules if not rule.disabled]
            end = len(rows) + 2 * len(rules)
            for rule in rules:
                concerned = everyone & self._scope(rule, members)
                for direction in (IN, OUT):
                    local, remote = _sides(rule, direction)
                    rows.append(self._row(rule, members.addresses(remote), end))
                    here = self._directed(direction) & (direction in rule.directions)
                    chosen.append(concerned & here & world.at(members.addresses(local)))
        every, all_services = world.remote(intervals.ALL), world.service(tuple(map(Box.of, EVERYTHING)))
        for action, direction in ((base.default_in, IN), (base.default_out, OUT)):
            rows.append((PERMIT if action == ALLOW else REFUSE, 0, every, all_services, 1))
            chosen.append(everyone & self._directed(direction))
        rows.append((PERMIT, 0, every, all_services, 0))
        chosen.append(~everyone)
        self._rows, self._chosen = np.array(rows, ROWS), np.array(chosen)

    def rows(self, at: int) -> Rows:
        """What the source says at the world's point number `at`."""
        return kept(self._rows, self._chosen[:, at])

    def name(self, number: int) -> str:
        """A row's rule."""
        return self._names[number]

    def _directed(self, direction: str) -> NDArray[np.bool_]:
        return np.array([point.direction == direction for point in self._world.points], bool)

    def _scope(self, rule: Rule, members: Membership) -> NDArray[np.bool_]:
        if rule.scope is None:
            return np.ones(len(self._world.points), bool)
        inside = members.nics(rule.scope)
        return np.array([point.nic in inside for point in self._world.points], bool)

    def _row(self, rule: Rule, remote: intervals.Ranges, end: int) -> tuple[int, ...]:
        decision = 0 if rule.action == JUMP else PERMIT if rule.action == ALLOW else REFUSE
        self._names.append(rule.name or rule.id)
        service = self._world.service(tuple(map(Box.of, rule.services)))
        return decision, end, self._world.remote(remote), service, len(self._names) - 1


def _sides(rule: Rule, direction: str) -> tuple[Peers, Peers]:
    """The side that is the NIC itself, and the other."""
    return (rule.destinations, rule.sources) if direction == IN else (rule.sources, rule.destinations)


class NewSide:
    """First-match lists of the translation, from compiled programs; `refused` are NICs that would get none, and why."""

    def __init__(self, base: RuleBase, translation: Translation, world: World) -> None:
        self.endpoints = [endpoint(base, at, translation) for at in range(len(base.nics))]
        self.policies = PolicySet.of(translation.documents)
        # rows are a limit of each NIC, prefixes one of each node: which NICs share a node is not known here
        self._compiler = Compiler(Limits(prefixes=1 << 31))
        self._compiler.load(self.policies, self.endpoints)
        self.refused: dict[Key, str] = dict(self._compiler.refused)
        self._world = world
        self._lists: dict[tuple[int, str], tuple[Rows, NDArray[np.int64]]] = {}
        self._local: dict[int, NDArray[np.bool_]] = {}

    def judges(self, point: Point) -> bool:
        """Is there a program for the point's NIC?"""
        return self.endpoints[point.nic].key in self._compiler.programs

    def rows(self, at: int) -> Rows:
        """What the enforced program says at the world's point number `at`."""
        point = self._world.points[at]
        program = self._compiler.programs[self.endpoints[point.nic].key]
        found = self._lists.get((id(program), point.direction))
        if found is None:
            array = program.ingress if point.direction == IN else program.egress
            found = self._lists[id(program), point.direction] = self._list(array, point.direction)
        rows, local = found
        sets, inverse = np.unique(local, return_inverse=True)
        inside = np.array([identity >= 0 and self._inside(identity)[at] for identity in sets.tolist()], bool)
        return kept(rows, inside[inverse])

    def name(self, number: int) -> str:
        """A row's rule."""
        name = self._compiler.rules.name(number)
        return name.text if name else ""

    def _inside(self, identity: int) -> NDArray[np.bool_]:
        """Which points have their own address in one of the program's sets."""
        found = self._local.get(identity)
        if found is None:
            found = self._local[identity] = self._world.at(self._compiler.sets.contents(identity))
        return found

    def _list(self, array: NDArray[Any], direction: str) -> tuple[Rows, NDArray[np.int64]]:
        """A program's rows, and the id of each row's local set; -1 for Log, which decides nothing."""
        local, remote = ("dst_set", "src_set") if direction == IN else ("src_set", "dst_set")
        rows = np.zeros(len(array), ROWS)
        rows["decision"] = np.select([array["action"] == ROW_ALLOW, array["action"] == ROW_DENY], [PERMIT, REFUSE], 0)
        rows["next"] = np.where(array["action"] == PASS, array["next"], 0)
        rows["remote"] = [self._world.remote(self._compiler.sets.contents(each)) for each in array[remote].tolist()]
        rows["service"] = [self._world.service((_box(row),)) for row in array]
        rows["name"] = array["rule"]
        return rows, np.where(array["action"] == LOG, -1, array[local].astype(np.int64))


def _box(row: Any) -> Box:
    source = int(row["src_low"]), int(row["src_high"])
    destination = int(row["dst_low"]), int(row["dst_high"])
    return Box(int(row["proto"]) or None, source, destination, bool(row["flags"] & NOT_PROTO)).normal()


def endpoint(base: RuleBase, at: int, translation: Translation) -> Endpoint:
    """A NIC as it will be in the cluster: with the translation's labels and its NAD's."""
    nic = base.nics[at]
    labels = dict(translation.labels.get(nic.vm, {}))
    nad = translation.nads.get(nic.segment)
    if nad:
        labels["projectcalico.org/network-attachment"] = nad
    ips = tuple(map(address_text, nic.addresses))
    return Endpoint("default", f"virt-launcher-{nic.vm}", nic.name, nic.vm, nic.name, "old", 0, ips, labels)
