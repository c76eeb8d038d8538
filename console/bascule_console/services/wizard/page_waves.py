"""Step 6: which VMs move together, and which conversations cross between both sides meanwhile."""

from __future__ import annotations

from bascule.migration.wizard_page import NUMBER, Field, Gate, Problem, Table
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.parts import ask, few, plural, table


def fields(made: Made) -> tuple[Field, ...]:
    """How large a wave may be."""
    return (
        ask(made, "waves.vms", "VMs in one wave", NUMBER, "20", "at most; VMs that share a disk stay together"),
        ask(made, "waves.gib", "GiB of disks in one wave", NUMBER, "2048", "at most so much is copied in one wave"),
    )  # fmt: skip


def facts(made: Made) -> tuple[Table, ...]:
    """The waves, their members, what crosses."""
    plan = made.plan
    if plan is None:
        return ()
    names = {vm.key: vm.name for vm in plan.vms}
    waves = [
        (wave.number, len(wave.vms), wave.gib, _size(wave.inside), len(wave.crossing),
         few([names[key] for key in wave.vms]))
        for wave in plan.waves
    ]  # fmt: skip
    members = [(vm.wave, vm.name, vm.target, [nic.vlan for nic in vm.nics]) for vm in plan.moving]
    crossing = [
        (wave.number, vm, peer, _size(number), other)
        for wave in plan.waves
        for vm, peer, number, other in wave.crossing
    ]
    empty = "no recorded conversation crosses" if made.world and made.world.talks is not None else "no flows recorded"
    return (
        table("waves", "Waves", ("wave", "vms", "gib", "talk inside", "talks across", "members"), waves),
        table("members", "Who moves when", ("wave", "vm", "becomes", "vlan"), members),
        table("crossing", "Conversations that cross meanwhile", ("wave", "vm", "talks to", "recorded", "in wave"),
              crossing, empty),
    )  # fmt: skip


def _size(number: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number} {unit}"
        number //= 1024
    return f"{number} TiB"


def problems(made: Made) -> tuple[Problem, ...]:
    """Without flows the order is a guess; a wave may be larger than asked for."""
    found = []
    if made.world is not None and made.world.talks is None:
        text = "no flows were recorded: waves follow VLANs and names, not who talks to whom"
        fix = "record some (bascule flows record) and name the file at Assess"
        found.append(Problem("unknown", text, "", fix, "assess.flows"))
    plan = made.plan
    for wave in plan.waves if plan else ():
        if plan is not None and (len(wave.vms) > plan.options.wave_vms or wave.gib > plan.options.wave_gib):
            text = f"wave {wave.number} is larger than asked for: {plural(len(wave.vms), 'VM')}, {wave.gib} GiB"
            why = "a single VM, or VMs that share a disk, are more than that"
            found.append(Problem("warning", text, why, "allow larger waves, or move it by itself", "waves.gib"))
    return tuple(found)


def summary(made: Made) -> str:
    """How many waves."""
    if made.plan is None:
        return "not planned yet"
    return f"{plural(len(made.plan.waves), 'wave')}, {plural(len(made.plan.moving), 'VM')}"


def gate(made: Made) -> Gate:
    """There has to be a wave."""
    if made.plan is None or not made.plan.waves:
        return Gate(False, "there is no wave: every VM is held back, see Identity")
    return Gate(True, "look at everything that will be applied")
