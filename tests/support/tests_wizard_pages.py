"""Pages of the wizard for tests of its screen: a small estate in a book, and a wizard that tells given pages.

Pages are data, so a page that only a run in a lab makes can be shown without one; what makes the pages is tested with
the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests_rvtools import book, estate

from bascule.migration.wizard import STEPS, State, answered, at, number
from bascule.migration.wizard_page import Action, Apply, Field, Gate, Page, Problem, Progress, Table
from bascule.migration.wizard_words import WORDS

NASTY = "x\x1b[31mred[bold]m[/bold]\u202e\r\n"


def write_book(path: Path, vms: int = 6) -> Path:
    """An RVTools book of a few VMs on three VLANs; the second has the first one's address."""
    rows = estate(vms)
    if vms > 3:
        rows["vNetwork"][3]["IPv4 Address"] = rows["vNetwork"][0]["IPv4 Address"]
        rows["vInfo"][3]["Primary IP Address"] = rows["vInfo"][0]["Primary IP Address"]
    path.write_bytes(book(rows))
    return path


def page(step: str, **more: Any) -> Page:
    """A page with its own words; one may go on and back."""
    words = WORDS[step]
    gates = {"back": Gate(step != STEPS[0], words.back), "next": Gate(True, "go on")}
    return replace(Page(step, number(step), words.title, words.explains, **gates), **more)


class Told:
    """`services.wizard.Wizard` with pages that are given; `log` is what it was asked to do, while `ready` is not
    set no page is."""

    def __init__(self, pages: Mapping[str, Page], step: str, reached: str = "") -> None:
        self.pages = dict(pages)
        self.state = at(State(reached=reached or step), step)
        self.log: list[tuple[str, ...]] = []
        self.running = False
        self.closed = False
        self.ready = asyncio.Event()
        self.ready.set()
        self.errors: dict[str, Exception] = {}

    def open(self, access: object = None, **_: object) -> Told:
        """What the screen calls on the class."""
        self.guard = _.get("guard")
        return self

    async def page(self, step: str = "") -> Page:
        await self.ready.wait()
        wanted = step or self.state.step
        return self.pages.get(wanted) or page(wanted)

    async def _do(self, *what: str) -> Page:
        self.log.append(what)
        if what[0] in self.errors:
            raise self.errors[what[0]]
        return await self.page()

    async def answer(self, name: str, value: str) -> Page:
        found = await self._do("answer", name, value)
        self.state = answered(self.state, name, value)
        fields = tuple(
            replace(each, value=value, given=bool(value)) if each.id == name else each for each in found.fields
        )
        self.pages[self.state.step] = replace(found, fields=fields)
        return self.pages[self.state.step]

    async def next(self) -> Page:
        await self._do("next")
        self.state = at(self.state, STEPS[STEPS.index(self.state.step) + 1])
        return await self.page()

    async def back(self) -> Page:
        await self._do("back")
        self.state = at(self.state, STEPS[STEPS.index(self.state.step) - 1])
        return await self.page()

    async def go(self, step: str) -> Page:
        await self._do("go", step)
        self.state = at(self.state, step)
        return await self.page()

    async def act(self, action: str, target: str = "") -> str:
        await self._do("act", action, target)
        return f"{action} is done"

    async def restart(self) -> Page:
        await self._do("restart")
        self.state = State()
        return await self.page()

    async def close(self) -> None:
        self.closed = True


def run_page() -> Page:
    """Step 8 while a wave runs: one VM moved, one is copied, one is blocked, one was taken back, one waits."""
    copied = Progress(
        "app00001", 1, "moving", "disks", 3_221_225_472, 8_589_934_592, "bytes", 104_857_600.0, 51.2,
        "copied at this rate, then as long as the VMs before took", "vda of 1",
    )  # fmt: skip
    over = Progress("app00000", 1, "moved", "start", 6, 6, "steps", 0.0, 0.0, "over", "answers on 10.110.0.10")
    blocked = Progress(
        "app00002", 1, "blocked", "stop", 3, 6, "steps", 0.0, None, "no estimate: it waits for somebody",
        "10.130.0.10 answers from 00:50:56:99:99:99 too",
    )  # fmt: skip
    back = Progress("app00004", 2, "rolled back", "create", 0, 6, "steps", 0.0, None, "no estimate: nothing runs", "")
    rows = (
        ("1", "app00000", "moved", "", "12:00:07", "4.1 s", "", ""),
        ("1", "app00001", "moving", "disks", "12:00:31", "", "", ""),
        ("1", "app00002", "blocked", "stop", "12:00:33", "", "10.130.0.10 answers from 00:50:56:99:99:99 too",
         "bascule plan run --vm app00002"),
        ("2", "app00004", "rolled back", "", "12:00:40", "", "", "bascule plan run --vm app00004"),
    )  # fmt: skip
    columns = ("wave", "vm", "state", "at step", "since", "away", "why", "next command")
    return page(
        "run",
        summary="1 of 5 VMs moved",
        progress=(over, copied, blocked, back),
        fields=(Field("run.source", "Hypervisor that has the VMs now", "uri", "qemu:///system", given=True),),
        problems=(
            Problem(
                "error",
                "app00002 is blocked at stop",
                "10.130.0.10 answers from 00:50:56:99:99:99 too",
                "bascule plan run --vm app00002",
            ),
        ),
        actions=(
            Action("rehearse", "Check a wave", "only asks; changes nothing", ("1", "2")),
            Action("start", "Start a wave", "goes on where it was interrupted", ("1", "2"), "", True,
                   "Shut down the VMs of a wave on the old side and start them on lab-admin?"),
            Action("pause", "Pause", "ends the actions under way", (), "nothing runs"),
        ),
        facts=(Table("vms", "Where each VM stands", columns, rows),),
        next=Gate(True, "compare who talks to the VMs with before"),
    )  # fmt: skip


def review_page() -> Page:
    """Step 7 with a change and a new object."""
    diff = "--- now/Network/dc1\n+++ planned/Network/dc1\n@@ -1 +1,2 @@\n vlans:\n+- vlan: {id: 110}"
    new = "--- now/IPPool/p\n+++ planned/IPPool/p\n@@ -0,0 +1 @@\n+kind: IPPool"
    return page(
        "review",
        summary="2 objects, 6 VirtualMachines",
        applies=(
            Apply("Network/dc1", "change", diff),
            Apply("IPPool/p", "create", new),
            Apply("NAD/n", "unchanged", ""),
        ),
        actions=(
            Action("write", "Write the manifests", "into a directory", blocked="name a directory first"),
            Action("apply", "Apply to the cluster", "after a dry run", danger=True, confirm="Apply to {x} lab-admin?"),
        ),
        problems=(Problem("unknown", "no flows were recorded", "", "record some", "assess.flows"),),
        fields=(Field("review.to", "Directory for the manifests", "path", help="a new directory"),),
    )


def nasty_page() -> Page:
    """Text from outside in every place of a page."""
    return page(
        "identity",
        title=NASTY,
        summary=NASTY,
        explains=(NASTY,),
        notes=(NASTY,),
        facts=(Table(NASTY, NASTY, (NASTY, "b"), ((NASTY, "error"),), 3), Table("e", "e", ("a",), (), 0, NASTY)),
        fields=(
            Field("identity.a", NASTY, "text", NASTY, (), NASTY, NASTY, given=True),
            Field("identity.b", NASTY, "text", NASTY),
            Field("identity.c", NASTY, "yes-no", "", (), NASTY),
        ),
        problems=(Problem("error", NASTY, NASTY, NASTY, "identity.a"), Problem(NASTY, NASTY)),
        applies=(Apply(NASTY, "create", f"+{NASTY}"),),
        actions=(Action("a", NASTY, NASTY, (NASTY,)), Action("b", NASTY, NASTY, blocked=NASTY)),
        progress=(Progress(NASTY, 1, NASTY, NASTY, 1, 2, NASTY, 0, None, NASTY, NASTY),),
        next=Gate(False, NASTY),
    )
