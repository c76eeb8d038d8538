"""`bascule wizard --plain`: the wizard as a conversation in lines, by hand or from a pipe.

Commands come from stdin, one a line; pages go to stdout, what was done and every error to stdout too, in their order,
because somebody who listens has one stream. The end of the input saves and ends well.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TextIO

from bascule.errors import BasculeError, UsageError
from bascule.migration.wizard import STEPS
from bascule.migration.wizard_page import Action, Field, Page
from bascule.text import escape
from bascule_console.cli.wizard_lines import diff_lines, field_lines, page_lines, progress_line, table_lines
from bascule_console.services.wizard import Wizard

HELP = """\
N                     ask question N; the line after it is the answer, an empty one leaves it as it is
set N VALUE           answer question N (its number or its name); set N alone takes the answer back
show                  this page again
show N                table N in full
show diff [N]         what will be applied in full
steps                 all steps, and how far you are
next, back, go STEP   from step to step; answers are kept
do NAME [TO]          an action of the page, to a VM or a wave where it needs one
apply                 the same as do apply
wait                  until what runs in the background is over
quit                  save and end; bascule wizard --plain goes on from here
help                  this list"""
EVERY_S = 2.0


class Walk:
    """One conversation. `lines` gives the input line by line, without newline, None at its end."""

    def __init__(self, wizard: Wizard, lines: Callable[[str], Awaitable[str | None]], out: TextIO) -> None:
        self._wizard = wizard
        self._lines = lines
        self._out = out
        self._page = Page("", 0, "", ())
        self._words: dict[str, Callable[[list[str]], Awaitable[bool]]] = {
            "next": self._next, "back": self._back, "go": self._go, "show": self._show, "set": self._set,
            "do": self._do, "apply": self._apply, "steps": self._steps, "wait": self._wait, "help": self._help,
            "quit": self._quit,
        }  # fmt: skip

    async def walk(self) -> int:
        """Until quit or the end of the input. Returns the exit code."""
        self._turn(await self._wizard.page())
        going = True
        while going:
            line = await self._lines("> ")
            if line is None:
                self._say("end of the input: saved")
                break
            try:
                going = await self._obey(line)
            except BasculeError as error:
                self._wrong(error)
        return 0

    async def _obey(self, line: str) -> bool:
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"cannot read that: {str(error).lower()}", fix="quote a name with blanks") from None
        if not words:
            return True
        if words[0].isdecimal() and len(words) == 1:
            return await self._asked(await self._field(words[0]))
        if words[0].lower() not in self._words:
            raise UsageError(f"no command {words[0][:40]!r}", fix="help lists them")
        return await self._words[words[0].lower()](words[1:])

    async def _asked(self, field: Field) -> bool:
        """One question and its answer; a bad one is asked again."""
        number = next(at for at, each in enumerate(self._page.fields, 1) if each.id == field.id)
        while True:
            self._say_all(field_lines(field, number))
            line = await self._lines(f"{number}: ")
            if line is None or not line.strip():
                self._say("left as it is")
                return line is not None
            try:
                await self._answer(field, line)
                return True
            except BasculeError as error:
                self._wrong(error)

    async def _set(self, words: list[str]) -> bool:
        if not words:
            raise UsageError("set what?", fix="set N VALUE")
        field = await self._field(words[0])
        value = shlex.join(words[1:]) if field.many else " ".join(words[1:])
        await self._answer(field, value)
        return True

    async def _answer(self, field: Field, value: str) -> None:
        before = dict(self._wizard.state.notes)
        page = await self._wizard.answer(field.id, value)
        if page.id == self._page.id:
            self._page = page
        now = next((each for each in page.fields if each.id == field.id), None)
        self._say(f"{field.label}: {now.value if now and now.value else 'not answered'}")
        if now is not None and now.error:
            self._say(f"wrong: {now.error}")
        for each in page.problems:
            if each.field == field.id and each.verdict == "error" and not (now and now.error):
                self._say("wrong: " + "; ".join(part for part in (each.text, each.evidence, each.fix) if part))
        for step, note in self._wizard.state.notes.items():
            if before.get(step) != note:
                self._say(f"changed at {step}: {note}")
        self._say(f"{page.title}: {page.summary}; show has the page")

    async def _field(self, name: str) -> Field:
        """A question of this page by its number or name, or of another by `step.name`."""
        step, dot, _ = name.partition(".")
        elsewhere = dot and step in STEPS
        fields = (await self._wizard.page(step)).fields if elsewhere else self._page.fields
        if name.isdecimal() and name.isascii() and len(name) < 5 and 1 <= int(name) <= len(fields):
            return fields[int(name) - 1]
        found = [each for each in fields if name in (each.id, each.id.partition(".")[2])]
        if not found:
            cause = f"this page has {len(fields)}" if fields else "this page asks nothing"
            raise UsageError(f"no question {name[:40]!r}", cause, "show lists them")
        return found[0]

    async def _next(self, words: list[str]) -> bool:
        self._turn(await self._wizard.next())
        return True

    async def _back(self, words: list[str]) -> bool:
        self._turn(await self._wizard.back())
        return True

    async def _go(self, words: list[str]) -> bool:
        name = words[0].lower() if words else ""
        if name.isdecimal() and name.isascii() and len(name) < 3 and 1 <= int(name) <= len(STEPS):
            name = STEPS[int(name) - 1]
        self._turn(await self._wizard.go(name))
        return True

    async def _show(self, words: list[str]) -> bool:
        self._page = page = await self._wizard.page()
        what = words[0].lower() if words else ""
        number = int(words[-1]) if words and words[-1].isdecimal() and len(words[-1]) < 6 else 0
        if what == "diff":
            nothing = ["nothing is applied at this step"]
            self._say_all(diff_lines(page.applies, number) if page.applies else nothing)
        elif not what:
            self._say_all(page_lines(page))
        elif 1 <= number <= len(page.facts):
            self._say_all(table_lines(page.facts[number - 1], f"Table {number}"))
        else:
            raise UsageError(f"no table {what[:40]!r}", f"this page has {len(page.facts)}", "show N, or show diff")
        return True

    async def _steps(self, words: list[str]) -> bool:
        state = self._wizard.state
        for at, step in enumerate(STEPS, 1):
            where = "here" if step == state.step else "been" if STEPS.index(step) <= STEPS.index(state.reached) else ""
            note = f"; changed: {state.notes[step]}" if step in state.notes else ""
            told = state.made.get(step, " ").partition(" ")[2]
            self._say(f"  {at}. {step}: {'; '.join(part for part in (where, told) if part) or 'not yet'}{note}")
        return True

    async def _do(self, words: list[str]) -> bool:
        self._page = await self._wizard.page()
        action = next((each for each in self._page.actions if words and each.id == words[0].lower()), None)
        if action is None:
            names = ", ".join(each.id for each in self._page.actions) or "none"
            raise UsageError(f"no action {words[0][:40]!r}" if words else "do what?", f"this page has: {names}", "show")
        target = " ".join(words[1:])
        possible = not action.blocked and (not target or target in action.targets)
        if action.danger and possible and not await self._sure(words, action):
            self._say("nothing was done")
            return True
        self._say(await self._wizard.act(action.id, target))
        self._page = await self._wizard.page()
        return True

    async def _sure(self, words: list[str], action: Action) -> bool:
        self._say(f"{' '.join(words)}: {action.confirm} Say yes to go on.")
        line = await self._lines("yes? ")
        return line is not None and line.strip().lower() in ("y", "yes")

    async def _apply(self, words: list[str]) -> bool:
        if not any(each.id == "apply" for each in self._page.actions):
            raise UsageError("nothing is applied at this step", "Review applies", "go review")
        return await self._do(["apply"])

    async def _wait(self, words: list[str]) -> bool:
        told: dict[str, str] = {}
        while True:
            running = self._wizard.running
            page = await self._wizard.page()
            for each in page.progress:
                line = progress_line(each)
                if told.get(each.vm) != line:
                    told[each.vm] = line
                    self._say(line)
            if not running:
                break
            await asyncio.sleep(EVERY_S)
        self._turn(await self._wizard.page())
        return True

    async def _help(self, words: list[str]) -> bool:
        self._say_all(HELP.splitlines())
        return True

    async def _quit(self, words: list[str]) -> bool:
        self._say("saved; bascule wizard --plain goes on from here")
        return False

    def _turn(self, page: Page) -> None:
        self._page = page
        self._say("")
        self._say_all(page_lines(page))

    def _wrong(self, error: BasculeError) -> None:
        """An error as one line."""
        parts = [error.message, error.cause, f"to do: {error.fix}" if error.fix else ""]
        self._say("error: " + "; ".join(part for part in parts if part))

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)

    def _say(self, text: str) -> None:
        self._out.write(escape(text) + "\n")
        self._out.flush()


class Lines:
    """The lines of stdin, one when it is asked for. Waiting for one holds no thread, so that an interrupt ends it, and
    reads nothing ahead of what a password prompt may want from a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._descriptor = stream.fileno()
        self._held = b""
        self._ended = False

    async def __call__(self, prompt: str) -> str | None:
        """The next line without its end, None after the last. The prompt stands only where a person types."""
        if os.isatty(self._descriptor):
            sys.stdout.write(prompt)
            sys.stdout.flush()
        while b"\n" not in self._held and not self._ended:
            await self._ready()
            chunk = os.read(self._descriptor, 1 << 16)
            self._ended = not chunk
            self._held += chunk
        if not self._held:
            return None
        line, _, self._held = self._held.partition(b"\n")
        return line.decode("utf-8", "replace").rstrip("\r")

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def told() -> None:
            if not ready.done():
                ready.set_result(None)

        try:
            loop.add_reader(self._descriptor, told)
        except PermissionError:  # a file is always ready, and cannot be waited for
            return
        try:
            await ready
        finally:
            loop.remove_reader(self._descriptor)
