"""The options that every verb has, and what they mean: output format, which cluster, read-only.

`VerbParser` puts them on every parser of a verb, nested ones too, because argparse makes sub-parsers of the class of
their parent. So `bascule -o json nodes list` is `bascule nodes list -o json`, and a verb's module declares none.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bascule.errors import RefusedError
from bascule_console.services.credentials import Access, choose, context_name

if TYPE_CHECKING:
    from bascule_console.services.settings import ContextSettings

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
    """Raise RefusedError (exit 4) where nothing may change; `what` completes "refused to …".

    Nothing may change under --read-only and on a context that the settings make read-only.
    """
    if args.read_only:
        raise RefusedError(f"refused to {what}", "the session is read-only", "run it again without --read-only")
    context, set_for_it, path = _context_settings(args)
    if set_for_it.read_only:
        cause = f"context {context} is read-only: contexts.{context}.read_only in {path}"
        raise RefusedError(f"refused to {what}", cause, "use another context, or change the setting")


def add_confirm_name(parser: argparse.ArgumentParser) -> None:
    """Declare --confirm-name, the typed confirmation's twin for scripts."""
    parser.add_argument(
        "--confirm-name", metavar="NAME", default="", help="what changes, by name: needed on a protected context"
    )


def refuse_unless_confirmed(args: argparse.Namespace, what: str, name: str | None = None) -> None:
    """`refuse_if_read_only`, and on a protected context also refuse unless --confirm-name is `name`.

    `name` None is the context's own name, for a verb that changes more than one object. Where --confirm-name may be
    given several times, one of them has to be it.
    """
    refuse_if_read_only(args, what)
    context, set_for_it, path = _context_settings(args)
    wanted = context if name is None else name
    said = args.confirm_name if isinstance(args.confirm_name, list) else [args.confirm_name]
    if set_for_it.protected and wanted not in said:
        given = f", --confirm-name says {', '.join(map(repr, said))}" if any(said) else ""
        cause = f"context {context} is protected (contexts.{context}.protected in {path}){given}"
        raise RefusedError(f"refused to {what}", cause, f"add --confirm-name {shlex.quote(wanted)}")


def _context_settings(args: argparse.Namespace) -> tuple[str, ContextSettings, Path]:
    from bascule_console.services.settings import load_settings, settings_path  # YAML: not for --version

    context, path = context_name(access(args)), settings_path()
    return context, load_settings(path).of(context), path
