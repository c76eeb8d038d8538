"""A rule base as Tiers, GlobalNetworkPolicies, GlobalNetworkSets and labels on VMs.

A stage becomes a tier that passes on what it does not decide, a run of rules with one selector a policy, the order of
rules the order of policies. The last tier ends with a policy for the base's default. Old names, ids, comments and
places stay as annotations. Same input, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.translate import names
from bascule.translate.chosen import Chooser
from bascule.translate.entries import ACTIONS, Placed, place
from bascule.translate.model import IN, OUT, REJECT, Leftover, Rule, RuleBase, Section, Stage

API = "projectcalico.org/v3"
MAX_RULES = 1024  # calico-l2.md 7.2
FIRST_TIER, TIER_STEP = 100.0, 10.0
Document = dict[str, Any]
_WORDS = {IN: ("Ingress", "ingress"), OUT: ("Egress", "egress")}


@dataclass(frozen=True)
class Translation:
    """`documents` can be applied as they are; `labels` are by VM id, `vms` the same as VirtualMachine documents for a
    server-side apply. `policies` are the names of the policies that carry a rule, by rule id."""

    documents: tuple[Document, ...]
    vms: tuple[Document, ...]
    labels: Mapping[str, Mapping[str, str]]
    leftovers: tuple[Leftover, ...]
    policies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nads: Mapping[str, str] = field(default_factory=dict)


def translate(base: RuleBase, nads: Mapping[str, str] | None = None, namespace: str = "default") -> Translation:
    """Carry a rule base over. `nads` are NAD names by segment id; default `vlan-<id>` where a segment has one VLAN."""
    plugged = {**_default_nads(base), **(nads or {})}
    chooser = Chooser(base, plugged)
    _govern(base, chooser)
    writer = _Writer(base, chooser)
    for at, stage in enumerate(base.stages):
        writer.stage(stage, FIRST_TIER + at * TIER_STEP, last=at == len(base.stages) - 1)
    documents = [*writer.tiers, *(chooser.sets[key] for key in sorted(chooser.sets)), *writer.policies]
    leftovers = [*base.leftovers, *chooser.leftovers, *writer.leftovers]
    vms = tuple(
        _vm(vm.name, chooser.labels[vm.id], namespace) for vm in sorted(base.vms, key=lambda vm: (vm.name, vm.id))
    )
    carried = {rule: tuple(found) for rule, found in writer.carried.items()}
    return Translation(tuple(documents), vms, chooser.labels, tuple(leftovers), carried, plugged)


def _default_nads(base: RuleBase) -> dict[str, str]:
    return {
        segment.id: f"vlan-{segment.vlans[0][0]}"
        for segment in base.segments
        if len(segment.vlans) == 1 and segment.vlans[0][0] == segment.vlans[0][1]
    }


def _govern(base: RuleBase, chooser: Chooser) -> None:
    """Label the VMs whose NICs the rules are for. Labels are per VM: one that is governed in part is said."""
    by_vm: dict[str, set[bool]] = {}
    for nic in base.nics:
        by_vm.setdefault(nic.vm, set()).add(nic.governed)
    for vm in base.vms:
        governed = by_vm.get(vm.id, {True})
        if True in governed:
            chooser.labels[vm.id][names.FIREWALL] = base.source
        if governed == {True, False}:
            chooser.leftovers.append(
                Leftover(
                    "partly-governed",
                    "error",
                    vm.name,
                    vm.position,
                    "the old firewall is off on some of its NICs",
                    "the rules apply to all NICs of the VM",
                    "Allow that NIC's traffic by a rule on its NAD.",
                )  # fmt: skip
            )


def _vm(name: str, labels: Mapping[str, str], namespace: str) -> Document:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": names.slug(name, 63), "namespace": namespace},
        "spec": {"template": {"metadata": {"labels": dict(sorted(labels.items()))}}},
    }


def decides_all(stage: Stage) -> bool:
    """Does the stage's last rule match everything at every NIC, so that no default is ever asked?"""
    rules = [rule for rule in stage.rules if not rule.disabled]
    return bool(rules) and rules[-1].decides_all


class _Writer:
    """Writes tiers and policies in order."""

    def __init__(self, base: RuleBase, chooser: Chooser) -> None:
        self.tiers: list[Document] = []
        self.policies: list[Document] = []
        self.leftovers: list[Leftover] = []
        self.carried: dict[str, list[str]] = {}
        self._base, self._chooser = base, chooser
        self._governed = f'{names.FIREWALL} == "{base.source}"'
        self._order = 0

    def stage(self, stage: Stage, order: float, last: bool) -> None:
        """A tier with all of its policies."""
        tier = f"{self._base.source}-{names.plain(stage.name)}"
        self.tiers.append(
            {
                "apiVersion": API,
                "kind": "Tier",
                "metadata": {"name": tier},
                "spec": {"order": order, "defaultAction": "Pass"},
            }
        )
        self._order = 0
        for section in stage.sections:
            for direction in (IN, OUT):
                self._section(tier, section, direction)
        if last and not decides_all(stage):
            for direction, action in ((IN, self._base.default_in), (OUT, self._base.default_out)):
                entry = {"action": ACTIONS[action], "metadata": {"annotations": {names.ANNOTATION + "rule": "default"}}}
                self._policy(tier, f"default-{direction.lower()}", self._governed, direction, [entry], {})
        for rule in stage.rules:
            self._mind(rule)

    def _section(self, tier: str, section: Section, direction: str) -> None:
        run: list[tuple[Rule, Placed]] = []
        number = 0
        for rule, placed in self._placed(section.rules, direction):
            full = sum(len(each.entries) for _, each in run) + len(placed.entries) > MAX_RULES
            if run and (full or run[0][1].selector != placed.selector):
                self._run(tier, section, direction, number, run)
                run, number = [], number + 1
            run.append((rule, placed))
        if run:
            self._run(tier, section, direction, number, run)

    def _placed(self, rules: Iterable[Rule], direction: str) -> Iterable[tuple[Rule, Placed]]:
        for rule in rules:
            if rule.disabled or direction not in rule.directions:
                continue
            placed = place(rule, direction, self._chooser, self._governed)
            if placed is not None:
                yield rule, placed

    def _run(self, tier: str, section: Section, direction: str, number: int, run: list[tuple[Rule, Placed]]) -> None:
        noted = {names.ANNOTATION + "section": section.name, names.ANNOTATION + "position": section.position}
        if section.sequence:
            noted[names.ANNOTATION + "sequence"] = str(section.sequence)
        stem = f"{names.plain(section.name, 30)}-{names.digest(section.id)}-{direction.lower()}-{number}"
        entries = [entry for _, placed in run for entry in placed.entries]
        for start in range(0, len(entries), MAX_RULES):
            name = f"{stem}-{start // MAX_RULES}" if start else stem
            full = self._policy(tier, name, run[0][1].selector, direction, entries[start : start + MAX_RULES], noted)
            for rule, _ in run:
                self.carried.setdefault(rule.id, []).append(full)

    def _policy(
        self, tier: str, name: str, selector: str, direction: str, entries: list[Document], noted: dict[str, str]
    ) -> str:
        self._order += 1
        kind, field_name = _WORDS[direction]
        full = f"{tier}.{name}"
        metadata: Document = {"name": full, **({"annotations": noted} if noted else {})}
        spec = {"tier": tier, "order": self._order * 10, "selector": selector, "types": [kind], field_name: entries}
        self.policies.append({"apiVersion": API, "kind": "GlobalNetworkPolicy", "metadata": metadata, "spec": spec})
        return full

    def _mind(self, rule: Rule) -> None:
        """What has to be known about a rule that was carried, or not."""
        if rule.disabled:
            self._tell("disabled", "info", rule, "the rule is disabled", "none, it had none", "Nothing.")
        elif rule.id not in self.carried:
            what = "its groups and scope leave no NIC or no packet that it could match"
            self._tell("no-effect", "warning", rule, what, "none with the inventory of now", "Check its groups.")
        elif rule.action == REJECT:
            self._tell(
                "reject", "warning", rule, "REJECT becomes Deny: a policy cannot answer",
                "clients wait for their timeout instead of being told at once", "Check clients with short failover.",
            )  # fmt: skip

    def _tell(self, kind: str, severity: str, rule: Rule, what: str, effect: str, todo: str) -> None:
        self.leftovers.append(Leftover(kind, severity, rule.name or rule.id, rule.position, what, effect, todo))
