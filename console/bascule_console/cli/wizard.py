"""`bascule wizard`: the guided migration, as a screen or with --plain as lines."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

from bascule.errors import UnreachableError
from bascule_console.cli.options import (
    Subparsers,
    access,
    add_confirm_name,
    refuse_if_read_only,
    refuse_unless_confirmed,
)
from bascule_console.cli.tui import add_options

if TYPE_CHECKING:
    from bascule_console.services.credentials import Access


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    parser = sub.add_parser("wizard", help="the guided migration, from files or a hypervisor to VMs that run here")
    parser.add_argument("--plain", action="store_true", help="as lines: for screen readers, pipes and scripts")
    parser.add_argument("--restart", action="store_true", help="begin anew; what was answered before is kept beside it")
    add_confirm_name(parser)
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Walk it."""
    if args.plain:
        return asyncio.run(_plain(args))
    from bascule_console.cli.tui import require_terminal, show

    require_terminal()
    if args.restart:
        asyncio.run(_restart())
    known = cluster(args)
    return show(known, args, "wizard") if known else _without_cluster(args)


async def _restart() -> None:
    from bascule_console.services.wizard import Wizard

    await Wizard.open().restart()


def _without_cluster(args: argparse.Namespace) -> int:
    """The screen on files alone."""
    from bascule_console.app import BasculeApp
    from bascule_console.services.settings import load_settings, settings_path
    from bascule_console.store.store import Store
    from bascule_console.widgets.themedata import choose_theme

    theme = choose_theme(args.theme or load_settings(settings_path()).theme, os.environ)
    app = BasculeApp(Store(), None, read_only=args.read_only, ascii_only=args.ascii, theme=theme)
    app.call_later(app.run_command, "wizard")
    app.run()
    return app.return_code or 0


def cluster(args: argparse.Namespace) -> Access | None:
    """The cluster that may be asked, None when there is none: the wizard goes on with files alone. A cluster that was
    named has to be there."""
    try:
        return access(args)
    except UnreachableError:
        return None


async def _plain(args: argparse.Namespace) -> int:
    from bascule_console.cli.wizard_walk import Lines, Walk
    from bascule_console.services.collect.login import on_terminal
    from bascule_console.services.wizard import Wizard

    def guard(what: str) -> None:
        refuse_if_read_only(args, what)
        refuse_unless_confirmed(args, what)

    wizard = Wizard.open(cluster(args), guard=guard, ask=on_terminal)
    if args.restart:
        await wizard.restart()
    try:
        return await Walk(wizard, Lines(sys.stdin), sys.stdout).walk()
    finally:
        await wizard.close()
