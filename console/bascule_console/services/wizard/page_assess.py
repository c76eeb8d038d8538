"""Step 2: the four questions, every check, and the evidence that makes the unknown known."""

from __future__ import annotations

from bascule.migration.checks import ERROR, UNKNOWN, VERDICTS, WARNING
from bascule.migration.questions import ASK
from bascule.migration.readiness import Judged
from bascule.migration.wizard_answers import CHECK, QUESTION
from bascule.migration.wizard_page import CHOICE, PATH, YES_NO, Action, Field, Gate, Problem, Table
from bascule_console.services.wizard.made import Made, cluster_words
from bascule_console.services.wizard.parts import ask, faults, plural, shortened, table

_MENDS = {
    "proofs": ("vlan-proven", "mtu-trunk"),
    "seen": ("ip-answers", "mac-answers"),
}
_HOLDS = {"ip-known": "Identity", "mac-known": "Identity", "vlan-known": "Networks"}
"""Checks without whose answer a VM is held back, and where it can be given."""
_FIELD = {check: f"assess.{name}" for name, checks in _MENDS.items() for check in checks}


def fields(made: Made) -> tuple[Field, ...]:
    """The questions, what only the operator can tell, and where evidence is."""
    found: list[Field] = []
    if made.found is not None:
        for each in made.found.questions:
            told = "; ".join(each.evidence)
            default = "" if each.answer == ASK else each.answer
            text = f"{each.why}; {told}"
            found.append(ask(made, QUESTION + each.id, each.text, YES_NO, default, text))
    found += _sources(made)
    if made.found is not None:
        for judged in _asking(made):
            text = f"{judged.check.title}: {judged.evidence}; yes is the answer that needs attention"
            label = f"{judged.check.id}: {judged.check.ask}"
            found.append(ask(made, CHECK + judged.check.id, label, YES_NO, "", text))
    return tuple(found)


def _asking(made: Made) -> list[Judged]:
    """Checks that an answer can settle: open ones, and those that were answered."""
    judged = made.found.judged if made.found else ()
    open_ = [each for each in judged if each.check.ask and each.verdict in (UNKNOWN, WARNING)]
    done = [each for each in judged if each not in open_ and CHECK + each.check.id in made.state.answers]
    return open_ + done


def _sources(made: Made) -> list[Field]:
    cluster = [("none", "no cluster: files alone")]
    if made.access is not None:
        cluster.insert(0, ("current", cluster_words(made.access)))
    current = "current" if made.access is not None else "none"
    return [
        ask(made, "assess.cluster", "Cluster to look at", CHOICE, current, "what is there already", cluster),
        ask(made, "assess.manifests", "The cluster as manifests", PATH, "", "where it cannot be asked", (), True),
        ask(made, "assess.flows", "Recorded flows", PATH, "", "bascule flows record, a capture, or CSV with"
            " src,dst,proto,port,bytes: who talks to whom", (), True),
        ask(made, "assess.proofs", "Trunk proofs", PATH, "", "of bascule trunks prove -o json"),
        ask(made, "assess.seen", "Addresses that answer now", PATH, "", "of bascule addresses check -o json"),
        ask(made, "assess.answers", "File of answers", PATH, "", "of bascule assess --questions; what is answered here"
            " counts before it"),
    ]  # fmt: skip


def facts(made: Made) -> tuple[Table, ...]:
    """Checks, worst first, and everything that they found."""
    if made.found is None:
        return ()
    worst = sorted(made.found.judged, key=lambda each: -_weight(each.verdict))
    checks = [(each.verdict, each.check.id, each.check.title, each.evidence) for each in worst]
    results = [
        (one.verdict, one.object, each.check.id, one.evidence, one.fix) for each in worst for one in each.results
    ]
    return (
        table("checks", "Checks", ("verdict", "check", "asks that", "evidence"), checks),
        table("results", "Everything that is not in order", ("verdict", "of", "check", "evidence", "fix"), results),
    )


def _weight(verdict: str) -> int:
    """Errors first, then warnings, then what is not known."""
    return VERDICTS.index(verdict)


def problems(made: Made) -> tuple[Problem, ...]:
    """Inputs that cannot be used, then errors and warnings of the checks."""
    found = faults(made, "assess")
    if made.access is None and made.state.answers.get("assess.cluster") == "current":
        fix = "start the wizard with --context, --kubeconfig or --lab, or answer none"
        found.append(Problem(WARNING, "the cluster is not looked at", "none is named this time", fix, "assess.cluster"))
    if made.rejected:
        first = made.rejected[0]
        text = f"{plural(len(made.rejected), 'row')} of the flows left out"
        found.append(Problem("warning", text, f"{first.place}: {first.why}", first.fix, "assess.flows"))
    for judged in sorted(made.found.judged if made.found else (), key=lambda each: -_weight(each.verdict)):
        if judged.verdict in (ERROR, WARNING):
            first_result = judged.results[0]
            mends = CHECK + judged.check.id if judged.check.ask else _FIELD.get(judged.check.id, "")
            word = "failed" if judged.verdict == ERROR else "doubtful"
            text = f"{word}: {judged.check.title} ({judged.check.id})"
            found.append(Problem(judged.verdict, text, judged.evidence, first_result.fix, mends))
        elif judged.verdict == UNKNOWN and judged.check.id in _HOLDS:
            where = _HOLDS[judged.check.id]
            text = f"not known: {judged.check.title} ({judged.check.id})"
            fix = f"{judged.results[0].fix}; or answer it at {where}: without it a VM is held back"
            found.append(
                Problem(UNKNOWN, text, judged.evidence, fix, CHECK + judged.check.id if judged.check.ask else "")
            )
    return shortened(found, "the table of everything that is not in order")


def actions(made: Made) -> tuple[Action, ...]:
    """Look at the cluster again."""
    if not made.cluster:
        return ()
    text = "asks every node for every VLAN of its Networks, and takes that as the trunk proofs; changes nothing"
    asked = "asks on each VLAN, by ARP from a node, who has the VMs' addresses; changes nothing"
    return (
        Action("look", "Look at the cluster again", "reads what it has now"),
        Action("prove", "Prove the trunks now", text),
        Action("seen", "Ask for the addresses now", asked),
    )


def summary(made: Made) -> str:
    """The number of checks by verdict."""
    if made.found is None:
        return "nothing to check yet"
    return ", ".join(f"{made.found.count(verdict)} {verdict}" for verdict in reversed(VERDICTS))


def gate(made: Made) -> Gate:
    """Findings hold single VMs back, not the walk; an input that cannot be used does."""
    broken = next((each.error.message for each in made.faults if each.step == "assess"), "")
    if broken:
        return Gate(False, f"{broken}: mend it, or take that answer back")
    if made.found is None:
        return Gate(False, "nothing was read yet: go back to Source")
    held = sum(1 for _, verdict in made.found.vms.values() if verdict == ERROR)
    return Gate(True, f"plan the Networks; {plural(held, 'VM')} with errors" if held else "plan the Networks")
