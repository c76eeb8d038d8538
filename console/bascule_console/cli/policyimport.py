"""`bascule policies import FILE…`: old firewall rules as Tiers, policies, sets and labels, with proof and leftovers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bascule.errors import UsageError
from bascule_console.cli.output import Column, narrate, write_document, write_rows

FAILED = 1
KINDS = ("nsx", "proxmox", "nwfilter")
LEFTOVERS = (
    Column("severity", "severity"),
    Column("kind", "kind"),
    Column("rule", "rule"),
    Column("what", "what"),
    Column("effect", "effect", wide=True),
    Column("to do", "todo", wide=True),
    Column("place", "position", wide=True),
)


def add_parser(verbs: Any) -> None:
    """Declare the verb. Its -o names a directory, as its siblings in other tools do; --output is the format."""
    parser = verbs.add_parser(
        "import",
        help="old firewall rules (NSX, Proxmox, nwfilter) as policies; exit 1 when not proven equal",
        conflict_handler="resolve",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="what the old firewall was dumped to")
    parser.add_argument("--kind", choices=KINDS, default="", help="which firewall, where the files do not tell")
    parser.add_argument("--prove", action="store_true", help="compare old and new over every class of packets")
    parser.add_argument("--nad", action="append", default=[], metavar="SEGMENT=NAD", help="the NAD of an old segment")
    parser.add_argument("--namespace", default="default", metavar="NS", help="of the VMs in labels.yaml (default)")
    parser.add_argument("--staged", action="store_true", help="write policies as staged ones: look first, then promote")
    parser.add_argument("-o", "--directory", type=Path, metavar="DIR", help="write the manifests and the report here")


def run(args: argparse.Namespace) -> int:
    """Import; leftovers to stdout, the rest as narration."""
    from bascule.translate.report import ordered, verdict_lines
    from bascule_console.services import policyimport

    found = policyimport.run(args.files, args.kind, _nads(args.nad), args.namespace, args.prove)
    written = policyimport.write(found, args.directory, args.staged) if args.directory else []
    if args.output in ("json", "yaml"):
        write_document(found.as_dict(), args.output)
    else:
        write_rows([_row(each) for each in ordered(found.translation)], LEFTOVERS, args.output)
    rules = found.base.rules
    carried = sum(1 for rule in rules if rule.id in found.translation.policies)
    narrate(f"{carried} of {len(rules)} rules carried by {len(found.translation.documents)} objects")
    for line in verdict_lines(found.proof) if found.proof else []:
        narrate(line)
    for path in written:
        narrate(f"wrote {path}")
    if written:
        narrate(f"next: {_next(args)}")
    return FAILED if found.proof is not None and found.proof.verdict != "equal" else 0


def _next(args: argparse.Namespace) -> str:
    files = " ".join(f"-f {args.directory}/{name}.yaml" for name in ("labels", "tiers", "sets", "policies"))
    if args.staged:
        return f"bascule apply {files}; then :policies shows what it would do, and promotes"
    return f"bascule policies whatif {files} says what would change; bascule apply {files}"


def _row(leftover: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(leftover)


def _nads(given: list[str]) -> dict[str, str]:
    found = {}
    for each in given:
        segment, equals, nad = each.partition("=")
        if not (segment and equals and nad):
            raise UsageError(f"--nad {each}: not SEGMENT=NAD", fix="for example --nad web-segment=vlan-110")
        found[segment] = nad
    return found
