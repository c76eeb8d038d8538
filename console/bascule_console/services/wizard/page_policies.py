"""Step 5: the old firewall's rules as Calico policies, with the proof that both sides decide alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bascule.migration.wizard_page import CHOICE, PATH, YES_NO, Field, Gate, Problem, Table
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.parts import ask, faults, plural, shortened, table

if TYPE_CHECKING:
    from bascule.translate.proof import Proof

HOW = (
    ("none", "no policies: the VMs are as open as their namespace"),
    ("files", "translate files of the old firewall and prove them equal"),
    ("directory", "a directory that bascule policies import -o made"),
)
FIREWALLS = (("nsx", "VMware NSX"), ("proxmox", "Proxmox"), ("nwfilter", "libvirt nwfilter"))


def fields(made: Made) -> tuple[Field, ...]:
    """How, and then only what that needs."""
    found = [ask(made, "policies.how", "Old firewall rules", CHOICE, "none", "where they come from", HOW)]
    how = made.state.answers.get("policies.how", "none")
    if how == "files":
        text = "what the old firewall was dumped to, all files of it"
        found.append(ask(made, "policies.files", "Files of the old firewall", PATH, "", text, many=True))
        which = "only where the files do not tell by themselves"
        found.append(ask(made, "policies.kind", "Which firewall", CHOICE, "", which, FIREWALLS))
    if how == "directory":
        text = "it holds policies.yaml and labels.yaml"
        found.append(ask(made, "policies.directory", "Directory of policies", PATH, "", text))
    if _proof(made) is not None and not _equal(made):
        text = "what fares differently is shown; yes takes the policies as they are"
        found.append(ask(made, "policies.unequal", "Go on although not proven equal", YES_NO, "no", text))
    return tuple(found)


def _proof(made: Made) -> Proof | None:
    return made.imported.proof if made.imported else None


def _equal(made: Made) -> bool:
    proof = _proof(made)
    return proof is not None and proof.verdict == "equal"


def facts(made: Made) -> tuple[Table, ...]:
    """What was carried, what was proven, what is left, which files."""
    found = []
    if made.imported is not None:
        from bascule.translate.report import ordered, verdict_lines

        translation = made.imported.translation
        rules = made.imported.base.rules
        carried = sum(1 for rule in rules if rule.id in translation.policies)
        lines = [f"{carried} of {len(rules)} rules carried by {len(translation.documents)} objects"]
        lines += verdict_lines(made.imported.proof) if made.imported.proof else []
        left = [(each.severity, each.rule, each.what, each.effect, each.todo) for each in ordered(translation)]
        found.append(table("proof", "Are both sides alike?", ("proof",), [(line.strip(),) for line in lines]))
        found.append(table("left", "What was not carried", ("severity", "rule", "what", "effect", "to do"), left))
    files = made.policy.files if made.policy else ()
    if files:
        found.append(table("files", "What will be applied", ("file", "digest", "objects"), files))
        found.append(_labels(made))
    return tuple(found)


def _labels(made: Made) -> Table:
    moving = {vm.name for vm in made.plan.moving} if made.plan else set()
    given = (made.policy.labels if made.policy else None) or {}
    rows = [
        (name, [f"{key}={value}" for key, value in labels.items()]) for name, labels in given.items() if name in moving
    ]
    return table("labels", "Labels of VMs that move", ("vm", "labels"), rows, "no VM that moves gets one")


def problems(made: Made) -> tuple[Problem, ...]:
    """No policies, not equal, left over."""
    found = faults(made, "policies")
    how = made.state.answers.get("policies.how", "none")
    if how == "none":
        text = "no rules are carried over: whoever reaches the VLAN reaches the VM"
        fix = "name the files of the old firewall, or leave it so if it had none"
        found.append(Problem("warning", text, "", fix, "policies.how"))
    elif made.policy is None or not made.policy.files:
        if not found:
            found.append(Problem("unknown", "nothing was named yet", "", "name it", _named(how)))
    elif made.policy.labels is not None and made.plan is not None:
        strange = [vm.name for vm in made.plan.moving if vm.name not in made.policy.labels]
        if strange:
            text = f"the old firewall does not know {plural(len(strange), 'VM')} that move"
            fix = "look whether the policies' selectors should have them"
            found.append(Problem("warning", text, ", ".join(strange[:6]), fix, _named(how)))
    found += _of_import(made)
    return shortened(found, "the table of what was not carried")


def _of_import(made: Made) -> list[Problem]:
    """What the translation could not do, and where both sides decide differently."""
    if made.imported is None:
        return []
    from bascule.translate.report import ordered, verdict_lines

    found = []
    proof = made.imported.proof
    if proof is not None and not _equal(made):
        lines = [line.strip() for line in verdict_lines(proof)]
        fix = "see what was not carried; mend the old rules and dump them again, or go on all the same"
        found.append(Problem("error", lines[0], "; ".join(lines[1:]), fix, "policies.unequal"))
    for each in ordered(made.imported.translation):
        if each.severity != "info":
            found.append(Problem(each.severity, f"{each.rule}: {each.what}", each.effect, each.todo, ""))
    return found


def _named(how: str) -> str:
    return f"policies.{how}"


def summary(made: Made) -> str:
    """How they are carried."""
    if made.policy is None or not made.policy.files:
        return "none"
    objects = sum(number for _, _, number in made.policy.files)
    proof = _proof(made)
    return f"{plural(objects, 'object')}, {proof.verdict if proof else 'as given'}"


def gate(made: Made) -> Gate:
    """What was chosen has to be there, and equal unless it is taken so."""
    broken = next((each.error.message for each in made.faults if each.step == "policies"), "")
    if broken:
        return Gate(False, broken)
    how = made.state.answers.get("policies.how", "none")
    if how != "none" and (made.policy is None or not made.policy.files):
        return Gate(False, "name the files or the directory, or choose no policies")
    if _proof(made) is not None and not _equal(made) and made.state.answers.get("policies.unequal") != "yes":
        return Gate(False, "old and new rules are not proven equal: mend them, or answer that you go on all the same")
    return Gate(True, "put the VMs in order")
