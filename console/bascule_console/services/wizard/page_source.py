"""Step 1: where the VMs are now, and what was read of them."""

from __future__ import annotations

from bascule.estate.counts import counts, group_rows, vm_rows
from bascule.estate.model import Estate
from bascule.migration.wizard_page import PATH, URI, Action, Field, Gate, Problem, Table
from bascule.migration.wizard_values import several
from bascule_console.services.estate import estate_path
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.parts import ask, faults, few, plural, problem, table


def fields(made: Made) -> tuple[Field, ...]:
    """Files and hypervisors."""
    kept = estate_path()
    given = "source.files" in made.state.answers or "source.live" in made.state.answers
    default = str(kept) if kept.exists() and not given else ""
    text = "an RVTools .xlsx or its CSV folder, CSV, OVF or OVA, libvirt XML; several in the order in which they count"
    live = "for example qemu+ssh://root@old-host/system; a password is asked for, never kept here"
    return (
        ask(made, "source.files", "Files or folders of the old side", PATH, default, text, many=True),
        ask(made, "source.live", "Hypervisors to ask", URI, "", live, many=True),
    )


def facts(made: Made) -> tuple[Table, ...]:
    """What was read."""
    estate = made.estate
    if estate is None:
        return ()
    rejected = [(each.what, each.place, each.field, each.why, each.fix) for each in estate.rejected]
    conflicts = [
        (each.object, each.field, each.kept, each.kept_from, each.other, each.other_from) for each in estate.conflicts
    ]
    found = [
        table("sources", "Read from", ("source", "kind"), [(each.name, each.kind) for each in estate.sources]),
        _vms(estate),
        _groups(estate),
    ]
    if rejected:
        found.append(table("rejected", "Left out", ("what", "place", "column", "why", "fix"), rejected))
    if conflicts:
        columns = ("object", "field", "kept", "from", "not taken", "said by")
        found.append(table("conflicts", "Where the sources differ", columns, conflicts))
    return tuple(found)


def _vms(estate: Estate) -> Table:
    rows = [
        (
            row["name"],
            row["power"] if row["kind"] == "vm" else row["kind"],
            [nic["vlan"] for nic in row["nics"]],
            [ip for nic in row["nics"] for ip in nic["ips"]],
            [nic["mac"] for nic in row["nics"]],
            [nic["port_group"] for nic in row["nics"]],
        )
        for row in vm_rows(estate)
    ]
    return table("vms", "VMs", ("vm", "power", "vlan", "address", "mac", "port group"), rows)


def _groups(estate: Estate) -> Table:
    rows = [
        (row["name"], row["vlan"], row["nics"], row["switch"], row["cidr"], row["gateway"])
        for row in group_rows(estate)
    ]
    return table("port-groups", "Port groups", ("port group", "vlan", "nics", "switch", "subnet", "gateway"), rows)


def problems(made: Made) -> tuple[Problem, ...]:
    """What could not be read."""
    found = faults(made, "source")
    for uri, error in made.unread.items():
        if error is None:
            fix = "ask it now with the action read"
            found.append(Problem("unknown", f"{uri} was not asked yet", "", fix, "source.live"))
        else:
            found.append(problem(error, "source.live"))
    estate = made.estate
    if estate is not None and estate.rejected:
        first = estate.rejected[0]
        text = f"{plural(len(estate.rejected), 'row or cell')} left out".replace("cells", "cells were")
        fix = first.fix or "correct the source, or give what is missing in a CSV after it"
        found.append(Problem("warning", text, f"{first.place}: {first.why}", fix, "source.files"))
    if estate is not None and estate.conflicts:
        objects = sorted({each.object for each in estate.conflicts})
        text = f"the sources say different things of {few(objects)}"
        found.append(Problem("warning", text, "the earlier source counts", "name the better one first", "source.files"))
    return tuple(found)


def actions(made: Made) -> tuple[Action, ...]:
    """Ask the hypervisors."""
    if not several(made.state.answers.get("source.live", "")):
        return ()
    return (Action("read", "Ask the hypervisors", "reads what they have now; changes nothing there"),)


def summary(made: Made) -> str:
    """How much was read."""
    if made.estate is None:
        return "nothing read yet"
    number = counts(made.estate)
    return (
        f"{plural(number['vms'], 'VM')}, {plural(number['nics'], 'NIC')}, {plural(number['port_groups'], 'port group')}"
    )


def gate(made: Made) -> Gate:
    """There has to be a VM to move."""
    if made.estate is None:
        broken = next((each.error.message for each in made.faults if each.step == "source"), "")
        silent = next((error.message for error in made.unread.values() if error), "")
        return Gate(False, broken or silent or "name a file or a hypervisor first")
    if not any(vm.movable for vm in made.estate.vms):
        return Gate(False, "no VM to move was read: templates and placeholders stay where they are")
    return Gate(True, "check what was read")
