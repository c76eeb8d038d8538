"""Doing what a page offers: choose the action, what it is done to, confirm what is dangerous, then do it beside the
screen. What needs a right that is not there is absent."""

from __future__ import annotations

from dataclasses import replace

from bascule.errors import BasculeError, RefusedError
from bascule.migration.wizard_page import Action, Page
from bascule.text import escape
from bascule_console.actions.registry import action
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.wizard.dialogs import PickDialog
from bascule_console.services.wizard import Wizard
from bascule_console.widgets.lines import Parts


class DoesThings(BasculeScreen):
    """Mixed into the wizard's screen, which shows what came of it."""

    wizard: Wizard | None = None
    doing = ""

    def fail(self, error: BasculeError) -> None:
        """Show an error on the page."""
        raise NotImplementedError

    def again(self) -> None:
        """Have the page made anew."""
        raise NotImplementedError

    def doings(self, page: Page | None) -> list[Action]:
        """What this session may do on the page."""
        change = self.app.permits(action("wizard_change"))
        return [each for each in page.actions if change or not each.danger] if page else []

    def refuse(self, what: str) -> None:
        """Raise RefusedError where this session may not do `what`; the screen does not offer it either."""
        if not self.app.permits(action("wizard_change")):
            raise RefusedError(
                f"this session may not {what}", "it is read-only, or a right is missing", "see the banner"
            )

    def choose_doing(self, page: Page) -> None:
        """One action is begun at once; of several one is chosen."""
        found = self.doings(page)
        if len(found) == 1 or all(each.blocked for each in found):
            self.begin(found[0])
            return
        entries: list[Parts] = [
            [
                (f"{at} {each.label}  ", "muted" if each.blocked else "key"),
                (_said(each), "muted" if each.blocked else ""),
            ]
            for at, each in enumerate(found, 1)
        ]
        can = [not each.blocked for each in found]
        first = can.index(True) if True in can else 0

        def chosen(at: int | None) -> None:
            if at is not None:
                self.begin(found[at])

        self.app.push_screen(PickDialog("What is to be done", entries, can, first), chosen)

    def begin(self, wanted: Action) -> None:
        """Ask what it is done to, and whether; then do it."""
        if wanted.blocked:
            self.app.notify(escape(f"{wanted.label}: {wanted.blocked}"), severity="warning", markup=False)
        elif not wanted.targets:
            self._confirm(wanted, "")
        else:
            entries: list[Parts] = [[(each, "")] for each in wanted.targets]

            def chosen(at: int | None) -> None:
                if at is not None:
                    self._confirm(wanted, wanted.targets[at])

            can = [True] * len(entries)
            self.app.push_screen(PickDialog(f"{wanted.label}: which one", entries, can), chosen)

    def _confirm(self, wanted: Action, target: str) -> None:
        if not (wanted.danger or wanted.confirm):
            self._start(wanted, target)
            return
        whom = f"{wanted.label}, {target}: " if target else ""
        question = whom + (wanted.confirm or f"{wanted.label}?")
        plain = question.replace("{", "{{").replace("}", "}}")
        asked = replace(action("wizard_change"), confirm=plain)
        self.app.confirm(asked, lambda: self._start(wanted, target), name=target or wanted.label)

    def _start(self, wanted: Action, target: str) -> None:
        if self.doing:
            self.app.notify(escape(f"{self.doing}: wait until it is done"), severity="warning", markup=False)
            return
        self.doing = f"{wanted.label} {target}".strip()
        self.show_lines()
        # The app's worker: what has begun goes on also when this screen is left.
        self.app.run_worker(self._carry_out(wanted, target), group="changes", exit_on_error=True)

    async def _carry_out(self, wanted: Action, target: str) -> None:
        assert self.wizard is not None
        try:
            done = await self.wizard.act(wanted.id, target)
        except BasculeError as error:
            self.fail(error)
        else:
            self.app.notify(escape(done), markup=False)
        finally:
            self.doing = ""
            if self.is_attached:
                self.again()


def _said(each: Action) -> str:
    return f"not now: {each.blocked}" if each.blocked else each.help
