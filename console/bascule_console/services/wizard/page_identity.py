"""Step 4: what each NIC keeps, what the cluster will be asked for, and which VMs are held back."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.migration.checks import ERROR
from bascule.migration.plan import IDENTITY, Plan, VmPlan, claims
from bascule.migration.wizard_answers import address_field
from bascule.migration.wizard_page import Field, Gate, Problem, Table
from bascule.migration.wizard_values import several
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.parts import ask, few, plural, shortened, table

MOST_ASKED = 200
"""Addresses that are asked for; for more, a CSV with vm,mac,ip after the other sources is the better way."""


def fields(made: Made) -> tuple[Field, ...]:
    """VMs that are taken although something is wrong, tags that become labels, addresses that no source tells."""
    names = {vm.key: vm.name for vm in made.world.vms} if made.world else {}
    errors = [(names[key], verdict) for key, (_, verdict) in made.found.vms.items()] if made.found else []
    held = {vm.name for vm in made.plan.vms if not vm.wave} if made.plan else set()
    choices = [(name, verdict) for name, verdict in errors if name in held or verdict == ERROR]
    tags = sorted({tag for vm in made.world.vms for tag, _ in vm.tags}) if made.world else []
    return (
        *_addresses(made),
        ask(made, "identity.take", "Take all the same", help="held VMs that move although a check has an error",
            choices=choices, many=True),
        ask(made, "identity.labels", "Tags that become labels", choices=[(tag, tag) for tag in tags], many=True,
            help=f"tags of the old side: {few(tags) or 'none was read'}"),
    )  # fmt: skip


def _addresses(made: Made) -> list[Field]:
    """NICs whose address no source tells, or was answered."""
    found = []
    for vm in made.world.vms if made.world else ():
        for nic in vm.nics:
            name = address_field(vm, nic)
            if not nic.ips or name in made.state.answers:
                text = (
                    f"no source tells it; its MAC is {nic.mac or 'not known'}, its port group {nic.network or 'none'}"
                )
                found.append(ask(made, name, f"Address of {vm.name} NIC {nic.index}", help=text))
    return found[:MOST_ASKED]


def facts(made: Made) -> tuple[Table, ...]:
    """The NIC map, the claims, the held ones."""
    plan = made.plan
    if plan is None:
        return ()
    columns = ("vm", "nic", "from port group", "vlan", "network", "nad", "address", "mac", "not kept")
    return (
        table("nics", "Where each NIC goes", columns, _nics(plan)),
        table("held", "Held back", ("vm", "why"), [(vm.name, why) for vm in _held(plan) for why in vm.held]),
        table("renamed", "New names", ("vm", "becomes"),
              [(vm.name, vm.target) for vm in plan.vms if vm.name != vm.target], "every VM keeps its name"),
        table("claims", "Addresses and MACs that will be claimed", ("vm", "nic", "network", "vlan", "ip", "mac"),
              [tuple(each.values()) for each in claims(plan)]),
    )  # fmt: skip


def _nics(plan: Plan) -> Iterator[tuple[object, ...]]:
    for vm in plan.vms:
        for nic in vm.nics:
            address, mac = nic.ip or "chosen by Calico", nic.mac or "a new one"
            yield vm.name, nic.name, nic.port_group, nic.vlan, nic.network, nic.nad, address, mac, list(nic.dropped)


def _held(plan: Plan) -> list[VmPlan]:
    return [vm for vm in plan.vms if not vm.wave]


def problems(made: Made) -> tuple[Problem, ...]:
    """Each held VM with the fix of what holds it, and names that nobody has."""
    if made.plan is None or made.found is None or made.world is None:
        return ()
    found = []
    known = {vm.name for vm in made.plan.vms}
    for name in several(made.state.answers.get("identity.take", "")):
        if name not in known:
            found.append(Problem("error", f"no VM is called {name}", "", "correct the name", "identity.take"))
    fixes = _fixes(made)
    silent = {vm.key: address_field(vm, nic) for vm in made.world.vms for nic in vm.nics if not nic.ips}
    for vm in _held(made.plan):
        fix = fixes.get(vm.key) or "mend it on the old side and read it again"
        field = "identity.take"
        if vm.key in silent and vm.held[0].startswith("ip-known"):
            fix, field = "answer its address", silent[vm.key]
        found.append(Problem("error", f"{vm.name} is held back", "; ".join(vm.held), fix, field))
    for vm in made.plan.moving:
        lost = [address for nic in vm.nics for address in nic.dropped]
        if lost:
            text = f"{vm.name} does not keep {few(lost)}"
            found.append(Problem("warning", text, "Calico gives a NIC one IPv4 address", "give it a NIC for the other"))
    return shortened(found, "the table of held VMs")


def _fixes(made: Made) -> dict[str, str]:
    """VM key → what mends the first thing that holds it."""
    found: dict[str, str] = {}
    for judged in made.found.judged if made.found else ():
        for each in judged.results:
            if each.vm and (each.verdict == ERROR or judged.check.id in IDENTITY):
                found.setdefault(each.vm, each.fix)
    return found


def summary(made: Made) -> str:
    """How many move and how many do not."""
    if made.plan is None:
        return "not planned yet"
    held = len(_held(made.plan))
    return f"{plural(len(made.plan.moving), 'VM')} to move, {held} held back"


def gate(made: Made) -> Gate:
    """Somebody has to move."""
    if made.plan is None:
        return Gate(False, "there is no plan yet: go back to Networks")
    wrong = next((each.text for each in problems(made) if each.text.startswith("no VM is called")), "")
    if wrong:
        return Gate(False, wrong)
    if not made.plan.moving:
        return Gate(False, "every VM is held back: mend one, or take one all the same")
    return Gate(True, "carry the firewall rules over")
