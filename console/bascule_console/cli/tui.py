"""`bascule` and `bascule tui`: the terminal interface. Refuses a terminal that cannot show it, and says what can."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.errors import UsageError
from bascule_console.cli.options import Subparsers, access
from bascule_console.services.credentials import Access, settle
from bascule_console.services.settings import THEMES, load_settings, settings_path

if TYPE_CHECKING:
    from bascule.flows.filter import Filter

HEADLESS = "bascule vms list; bascule flows --last 20; bascule nodes list -o json"


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    add_options(sub.add_parser("tui", help="the terminal interface"))


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a terminal may need; `bascule demo` takes the same."""
    parser.add_argument("--ascii", action="store_true", help="symbols from ASCII only")
    parser.add_argument("--theme", choices=THEMES, help="colours (the settings', else dark; ansi with 16 colours)")


def run(args: argparse.Namespace) -> int:
    """Run the interface until it is left."""
    require_terminal()
    return show(access(args), args)


def require_terminal() -> None:
    """Raise UsageError where no full-screen interface can stand. Textual draws on stderr and reads stdin."""
    where = [name for name in ("stdin", "stdout", "stderr") if not getattr(sys, name).isatty()]
    if where:
        cause = f"{', '.join(where)} is not a terminal" if len(where) == 1 else f"{', '.join(where)} are no terminals"
    elif os.environ.get("TERM", "dumb") == "dumb":
        cause = "TERM is dumb"
    else:
        return
    raise UsageError("the interface needs a terminal", cause=cause, fix=f"use the same without it: {HEADLESS}")


def show(cluster: Access, args: argparse.Namespace, first: str = "") -> int:
    """Run the app on a cluster, with `first` as if it had been typed after `:`. What has to be asked is asked before it
    takes the terminal."""
    known = settle(cluster)
    settings = load_settings(settings_path())
    here = settings.of(known.context or "")
    gc.disable()  # nothing that is loaded before the first paint becomes garbage; the app enables it again
    from bascule_console.app import BasculeApp
    from bascule_console.services.session import Session
    from bascule_console.store.store import Store
    from bascule_console.widgets.themedata import choose_theme

    store = Store()
    session = Session(store, known.kubeconfig, known.context, known.token)
    app = BasculeApp(
        store,
        session,
        read_only=args.read_only or here.read_only,
        protected=here.protected,
        ascii_only=args.ascii,
        theme=choose_theme(args.theme or here.theme or settings.theme, os.environ),
    )
    if first:
        app.call_later(app.run_command, first)
    app.run()
    return app.return_code or 0


def show_flows(path: Path, wanted: Filter) -> int:
    """The flow screen on a recording or a capture, without a cluster."""
    require_terminal()
    from bascule_console.app import BasculeApp
    from bascule_console.services.replay import replay
    from bascule_console.widgets.themedata import choose_theme

    settings = load_settings(settings_path())
    store = replay(path)
    app = BasculeApp(store, None, read_only=True, theme=choose_theme(settings.theme, os.environ))
    app.call_later(app.run_command, f"flows {wanted.text}".strip())
    app.run()
    return app.return_code or 0
