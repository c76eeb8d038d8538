"""The doctor's evidence from a live cluster: its objects, its agents' reports, the proof of its trunks."""

from __future__ import annotations

from bascule.doctor import Evidence, Finding, diagnose
from bascule_console.services.apply import lint_context
from bascule_console.services.reports import Answers, ask_all
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_console.services.trunks import matrix, nodes_of
from bascule_kube import Cluster


async def examine(cluster: Cluster, agents: TrunkAgents) -> tuple[list[Finding], Answers]:
    """All findings, and which agents were silent: what they would have said is then missing."""
    objects = await lint_context(cluster)
    answers = Answers()
    reports = await ask_all(await nodes_of(cluster), agents.node_report, answers)
    cells, others = await matrix(cluster, agents, sorted(reports)) if reports else ([], Answers())
    answers.silent |= others.silent
    return diagnose(Evidence(tuple(objects), reports, tuple(cells))), answers
