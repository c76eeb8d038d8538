"""`bascule policies show|promote|revert`: one policy whole, and the two ways to change what is in force."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bascule_console.cli.options import access, add_confirm_name, refuse_unless_confirmed
from bascule_console.cli.output import Column, narrate, write_document, write_lines, write_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bascule_console.services.journal import Journal
    from bascule_console.services.policychange import Change

RULES = (
    Column("direction", "direction"),
    Column("rule", "rule"),
    Column("line", "line"),
    Column("peers", "peers"),
    Column("effect", "effect"),
    Column("packets", lambda row: "no agent" if row["packets"] is None else row["packets"] or "never"),
    Column("by", "by", wide=True),
)
NICS = (
    Column("nic", "name"),
    Column("ips", "ips"),
    Column("network", "network"),
    Column("vlan", "vlan"),
    Column("pod", "pod", wide=True),
)
DONE = (
    Column("object", "object"),
    Column("what", "what"),
    Column("done", lambda row: "yes" if row["done"] else "no"),
)
WHICH = "NAME, NAMESPACE/NAME or KIND/[NAMESPACE/]NAME"


def add_parsers(verbs: Any) -> None:
    """Declare them under `bascule policies`."""
    show = verbs.add_parser("show", help="one policy: its rules with effects and hits, the NICs that it selects")
    show.add_argument("name", metavar="NAME", help=WHICH)
    promote = verbs.add_parser("promote", help="put a staged policy in force; the staged one goes")
    promote.add_argument("name", metavar="NAME", help=WHICH)
    revert = verbs.add_parser("revert", help="take back the last change of a policy, from the journal")
    revert.add_argument("name", metavar="NAME", help=WHICH)
    for each in (promote, revert):
        each.add_argument("--dry-run", action="store_true", help="stop before anything is changed")
        add_confirm_name(each)


def refuse(args: argparse.Namespace) -> None:
    """Raise RefusedError where the verb may not change anything, before a cluster is looked for."""
    if not args.dry_run:
        refuse_unless_confirmed(args, f"{args.policies_verb} {args.name}", args.name.rpartition("/")[2])


async def show(args: argparse.Namespace) -> int:
    """One policy."""
    from bascule_console.cli.policies import tell
    from bascule_console.services.cluster import connect
    from bascule_console.services.policies import load
    from bascule_console.services.policychange import find
    from bascule_console.services.policycounts import counted
    from bascule_console.services.policyshow import document

    async with connect(access(args)) as cluster:
        world = await load(cluster)
        policy = find(world, args.name)
        hits, answers = await counted(cluster)
    tell(world)
    for node, why in sorted(answers.silent.items()):
        narrate(f"{node} counts no hits: {why}")
    found = document(world, policy, hits)
    if args.output in ("json", "yaml"):
        write_document(found, args.output)
    else:
        from bascule_console.cli.policies import LIST

        write_rows([found], LIST, args.output)
        write_lines("")
        write_rows(found["ruleset"], RULES, args.output)
        write_lines("")
        write_rows(found["nics"], NICS, args.output)
    return 0


async def change(args: argparse.Namespace) -> int:
    """Promote or revert: try, show, make."""
    from bascule_console.cli.apply import exit_code, tell
    from bascule_console.services import policychange
    from bascule_console.services.cluster import connect
    from bascule_console.services.journal import Journal, journal_path
    from bascule_console.services.policies import load

    async with connect(access(args)) as cluster:
        journal = Journal(journal_path(), cluster.context, cluster.server)
        world = await load(cluster)
        if args.policies_verb == "promote":
            found = await policychange.promotion(cluster, world, policychange.find(world, args.name, staged=True))
        else:
            found = await policychange.reversal(cluster, journal, _named(world, journal, args.name))
        for line in found.diff.splitlines():
            narrate(line)
        for plan in found.plans:
            tell(plan)
        if not found.ready:
            narrate("nothing was changed")
            return max(exit_code(plan) for plan in found.plans if not plan.ready)
        if not args.dry_run:
            await policychange.commit(cluster, found, journal)
    write_rows(_rows(found, done=not args.dry_run), DONE, args.output)
    return 0


def _named(world: Any, journal: Journal, name: str) -> Iterable[tuple[str, str, str]]:
    """The policy's names in the journal; a policy that is gone is looked for there by what was typed."""
    from bascule.errors import UsageError
    from bascule_console.services import policychange

    try:
        return policychange.twins(policychange.find(world, name))
    except UsageError as error:
        if "ambiguous" in error.message:
            raise
    return policychange.journalled(journal, name)


def _rows(found: Change, *, done: bool) -> list[dict[str, Any]]:
    from bascule_console.services.policychange import label

    rows = [
        {"object": each.document.label, "what": each.action} for plan in (found.plan,) if plan for each in plan.changes
    ]
    rows += [{"object": label(obj), "what": "delete"} for obj in found.deletes]
    rows += [{"object": each.label, "what": f"undo #{each.seq}: {each.verb}"} for each in found.undos]
    return [{**row, "done": done} for row in rows]
