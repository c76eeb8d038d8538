"""The options that every verb has, and what they mean: output format, which cluster, read-only.

`VerbParser` puts them on every parser of a verb, nested ones too, because argparse makes sub-parsers of the class of
their parent. So `bascule -o json nodes list` is `bascule nodes list -o json`, and a verb's module declares none.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeAlias

from bascule.errors import RefusedError
from bascule_console.services.credentials import Access, choose

FORMATS = ("table", "wide", "json", "jsonl", "yaml", "csv")
DEFAULTS: dict[str, Any] = {
    "output": "table",
    "kubeconfig": None,
    "context": None,
    "lab": False,
    "read_only": False,
}


class VerbParser(argparse.ArgumentParser):
    """An ArgumentParser with the common options; absent ones leave the namespace alone (see `complete`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        absent = argparse.SUPPRESS
        common = self.add_argument_group("common options")
        common.add_argument("-o", "--output", choices=FORMATS, default=absent, help="how data is written (table)")
        common.add_argument("--kubeconfig", type=Path, default=absent, metavar="FILE", help="the cluster's kubeconfig")
        common.add_argument("--context", default=absent, metavar="NAME", help="a context of the kubeconfig")
        common.add_argument("--lab", action="store_true", default=absent, help="the running lab")
        common.add_argument("--read-only", action="store_true", default=absent, help="refuse whatever would change")


Subparsers: TypeAlias = "argparse._SubParsersAction[VerbParser]"  # argparse gives it no public name


def complete(args: argparse.Namespace) -> argparse.Namespace:
    """Fill in the common options that were not given."""
    for name, default in DEFAULTS.items():
        if not hasattr(args, name):
            setattr(args, name, default)
    return args


def access(args: argparse.Namespace) -> Access:
    """Which cluster the options mean. Raises RefusedError when --lab is given and no lab runs."""
    return choose(args.kubeconfig, args.context, args.lab)


def refuse_if_read_only(args: argparse.Namespace, what: str) -> None:
    """Raise RefusedError (exit 4) under --read-only; `what` completes "refused to …"."""
    if args.read_only:
        raise RefusedError(f"refused to {what}", "the session is read-only", "run it again without --read-only")
