"""`bascule selectors check SELECTOR [--labels k=v,…]`: the canonical form, and whether these labels match."""

from __future__ import annotations

import argparse
from typing import Any

from bascule.errors import UsageError
from bascule.selectors import SelectorError, parse
from bascule.text import escape
from bascule_console.cli.options import Subparsers
from bascule_console.cli.output import Column, narrate, write_lines, write_rows

FALSE = 1
COLUMNS = (Column("selector", "selector"), Column("canonical", "canonical"), Column("matches", "matches"))


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("selectors", help="check a selector: its canonical form, and whether labels match")
    verbs = parser.add_subparsers(dest="selectors_verb", required=True, metavar="VERB")
    check = verbs.add_parser("check", help="the canonical form; with --labels true or false, exit 1 for false")
    check.add_argument("selector", help="a Calico selector, such as \"app == 'web' && has(tier)\"")
    check.add_argument("--labels", metavar="K=V,…", help="labels to judge; an empty text is an object without labels")


def run(args: argparse.Namespace) -> int:
    """Check one selector. Raises SelectorError (exit 2) after pointing at the character."""
    labels = None if args.labels is None else labels_of(args.labels)
    try:
        node = parse(args.selector)
    except SelectorError as error:
        narrate(args.selector)
        narrate(" " * len(escape(args.selector[: error.position])) + "^")
        raise
    matches = None if labels is None else node.matches(labels)
    if args.output in ("table", "wide"):
        write_lines(str(node))
        if matches is not None:
            write_lines("true" if matches else "false")
    else:
        row: dict[str, Any] = {"selector": args.selector, "canonical": str(node), "labels": labels, "matches": matches}
        write_rows([row], COLUMNS, args.output)
    return FALSE if matches is False else 0


def labels_of(text: str) -> dict[str, str]:
    """`k=v,k=v` as labels. Raises UsageError for a part without `=`."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise UsageError(f"--labels: {part!r} is not key=value", fix="write them as app=web,tier=front")
        found[key] = value
    return found
