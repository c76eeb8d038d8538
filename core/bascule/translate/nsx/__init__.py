"""NSX-T Policy API documents as a rule base (reference/anchors.md 4.3 and 4.5 for shapes and traps)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bascule.resources.read import strings, text
from bascule.translate.members import Membership, cycles, only_addresses
from bascule.translate.model import ALLOW, DROP, Group, RuleBase
from bascule.translate.notes import ERROR, INFO, WARNING, Notes
from bascule.translate.nsx.collect import Collected, collect
from bascule.translate.nsx.groups import read_groups
from bascule.translate.nsx.inventory import exclude, read_inventory
from bascule.translate.nsx.rules import Rules
from bascule.translate.nsx.services import Services

_DEEPEST = 64


def read_nsx(documents: Iterable[tuple[str, Any]]) -> RuleBase:
    """(name, parsed JSON) of one or more documents of one NSX manager. Never raises for what is in them."""
    notes = Notes()
    collected = collect(documents)
    for place, why in collected.broken:
        notes("document", ERROR, "", place, why, "left out", "Mend the document.")
    for place, kind in collected.unknown:
        notes(
            "unknown-type", WARNING, "", place, f"resource type {kind} is not read", "left out", "Check what it does."
        )
    inventory = read_inventory(collected, notes)
    groups = _straight(read_groups(collected.of("Group"), inventory, notes), notes)
    services = Services(collected.of("Service"), notes)
    members = Membership(RuleBase("nsx", (), tuple(inventory.vms), tuple(inventory.nics), groups=tuple(groups)))
    inside = {group.id: members.group(group.id)[0] for group in groups}
    _check_members(groups, members, notes)
    listed = [
        (f"{place}.members[{at}]", path)
        for place, raw in collected.of("PolicyExcludeList")
        for at, path in enumerate(strings(raw.get("members")))
    ]
    exclude(inventory, listed, inside, notes)
    placeable = {group.id for group in groups if not only_addresses(group.expression)}
    reader = Rules(services, set(inside), placeable, notes)
    stages = reader.stages(collected.of("SecurityPolicy"))
    _elsewhere(collected, notes)
    base = RuleBase(
        "nsx", stages, tuple(inventory.vms), tuple(inventory.nics), tuple(inventory.segments), tuple(groups)
    )
    final = next((rule for rule in base.rules[-1:] if rule.decides_all and not rule.disabled), None)
    if final is None:
        notes(
            "default", WARNING, "", "", "the document has no default rule (default-layer3-section)",
            "ALLOW is taken as the default, which is NSX's own", "Check the default rule of the Application category.",
        )  # fmt: skip
    default = DROP if final is not None and final.action != ALLOW else ALLOW
    counts = {kind: len(found) for kind, found in sorted(collected.objects.items())}
    return replace(base, default_in=default, default_out=default, leftovers=tuple(notes.leftovers), counts=counts)


def _straight(groups: list[Group], notes: Notes) -> list[Group]:
    """Name circles of groups; a group inside itself adds nothing, which is how membership evaluates it."""
    names = {group.id: group.name for group in groups}
    for ring in cycles(groups):
        where = next(group.position for group in groups if group.id == ring[0])
        what = f"groups hold each other in a circle: {' → '.join(names[each] for each in (*ring, ring[0]))}"
        notes(
            "cycle", ERROR, names[ring[0]], where, what, "the circle is cut; members may be missing", "Cut it in NSX."
        )
    return groups


def _check_members(groups: list[Group], members: Membership, notes: Notes) -> None:
    """Where the dump says who is in a group, compare."""
    for group in groups:
        if group.members is None:
            continue
        ours = members.vms(group.id)
        if ours != group.members:
            more, less = sorted(ours - group.members), sorted(group.members - ours)
            what = f"NSX lists other members: {len(less)} are missing here, {len(more)} are too many"
            notes(
                "members", WARNING, group.name, group.position, what, f"for example {', '.join([*less, *more][:3])}",
                "Compare the group's conditions with the VMs' tags; the dump may be older than one of them.",
            )  # fmt: skip


def _elsewhere(collected: Collected, notes: Notes) -> None:
    for place, raw in collected.of("GatewayPolicy", "RedirectionPolicy"):
        name = text(raw.get("display_name")) or text(raw.get("id"))
        notes(
            "gateway", INFO, name, place, "a policy of the edge, not of VM NICs", "none: the edge stays where it is",
            "Keep it on the edge, or carry it to whatever replaces the edge.",
        )  # fmt: skip
