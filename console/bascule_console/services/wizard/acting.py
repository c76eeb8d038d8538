"""What the actions of the pages do: ask hypervisors, write, try, apply, run, take back, compare, sign."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.errors import BasculeError, RefusedError
from bascule.estate.load import load as load_estate
from bascule.migration.machine import BLOCKED
from bascule.migration.wizard_values import several
from bascule_console.services import apply as applying
from bascule_console.services import estate as estates
from bascule_console.services import plan as plans
from bascule_console.services.cluster import connect
from bascule_console.services.collect.hypervisor import connect as ask_hypervisor
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.wizard.evidence import prove, seen
from bascule_console.services.wizard.made import Made, live_path
from bascule_console.services.wizard.manifests import objects, refused
from bascule_console.services.wizard.page_run import source_of
from bascule_console.services.wizard.parts import plural

if TYPE_CHECKING:
    from bascule_console.services.run import Runner
    from bascule_console.services.wizard.wizard import Wizard


async def read(wizard: Wizard, target: str) -> str:
    """Ask every hypervisor that was named, and keep what each tells."""
    uris = several(wizard.state.answers.get("source.live", ""))
    done = [await _read(wizard, uri) for uri in uris]
    return f"read {plural(sum(done), 'hypervisor')} of {len(uris)}"


async def _read(wizard: Wizard, uri: str) -> bool:
    """Ask one; what went wrong is a problem of the page, and the others are asked all the same."""
    try:
        source = await ask_hypervisor(uri, ask=wizard.ask)
        try:
            files = await source.files()
        finally:
            await source.close()
        await asyncio.to_thread(lambda: estates.save(load_estate(files), live_path(uri)))
    except BasculeError as error:
        wizard.unread[uri] = error
        return False
    wizard.unread.pop(uri, None)
    return True


async def look(wizard: Wizard, target: str) -> str:
    """Read the cluster anew."""
    wizard.maker.look_again()
    wizard.rehearsed = None
    return "the cluster is looked at again"


async def write(wizard: Wizard, target: str) -> str:
    """Plan, manifests and policies into a new directory."""
    made = await wizard.made()
    assert made.plan is not None and made.world is not None
    plan, world, where = made.plan, made.world, Path(made.state.answers["review.to"])
    written = await asyncio.to_thread(plans.write, plan, world, where)
    await asyncio.to_thread(plans.keep, plan, world)
    more = f"; the policies are in {made.policy_directory}" if made.policy_directory else ""
    return f"wrote {plural(len(written), 'file')} to {where}{more}"


async def attempt(wizard: Wizard, target: str) -> str:
    """The server's dry run of everything that would be applied."""
    await _prepared(wizard, await wizard.made())
    assert wizard.rehearsed is not None
    bad = refused(wizard.rehearsed)
    if bad is not None:
        raise bad
    changing = sum(1 for each in wizard.rehearsed.changes if each.action != "unchanged")
    return f"the server takes all of it: {plural(changing, 'object')} would change, nothing did"


async def _prepared(wizard: Wizard, made: Made) -> None:
    assert made.plan is not None and made.world is not None and wizard.access is not None
    found = await asyncio.to_thread(objects, made.plan, made.world, made.policy_directory)
    async with connect(wizard.access) as cluster:
        wizard.rehearsed = await applying.prepare(cluster, found.applied)


async def apply(wizard: Wizard, target: str) -> str:
    """Dry run, and when all of it passes, apply and journal object by object."""
    wizard.guard("apply what the wizard planned")
    made = await wizard.made()
    await _prepared(wizard, made)
    assert wizard.rehearsed is not None and wizard.access is not None
    bad = refused(wizard.rehearsed)
    if bad is not None:
        raise bad
    done = 0
    try:
        async with connect(wizard.access) as cluster:
            journal = Journal(journal_path(), cluster.context, cluster.server)
            async for change in applying.commit(cluster, wizard.rehearsed, journal, "wizard"):
                done += change.action != "unchanged"
    finally:
        wizard.maker.look_again()
        wizard.rehearsed = None
    return f"applied {plural(done, 'object')}; each is in the journal: bascule journal list"


async def rehearse(wizard: Wizard, target: str) -> str:
    """Only the checks of a wave."""

    async def checked(runner: Runner) -> None:
        for row in await runner.rehearse(int(target or 0)):
            told = f"would stop at {row.step}: {row.why}" if row.state == BLOCKED else "is ready"
            wizard.work.say(f"{row.target}: {told}")

    return await _run(wizard, f"the check of {_wave(target)}", checked)


async def start(wizard: Wizard, target: str) -> str:
    """Run a wave."""
    wizard.guard("move VMs")
    return await _run(wizard, f"the run of {_wave(target)}", lambda runner: runner.run(int(target or 0)))


async def move(wizard: Wizard, target: str) -> str:
    """Run one VM."""
    wizard.guard(f"move {target}")
    return await _run(wizard, f"the move of {target}", lambda runner: runner.run(vms=(_named(target),)))


async def rollback(wizard: Wizard, target: str) -> str:
    """Take one VM back."""
    wizard.guard(f"roll {target} back")
    return await _run(wizard, f"the rollback of {target}", lambda runner: runner.rollback(_named(target)))


def _wave(target: str) -> str:
    return f"wave {target}" if target else "the first wave that is not over"


def _named(target: str) -> str:
    if not target:
        raise RefusedError("which VM?", "this is done to one", "name it")
    return target


async def _run(wizard: Wizard, what: str, body: Callable[[Runner], Awaitable[object]]) -> str:
    """Begin something in the background."""
    made = await wizard.made()
    loaded = await wizard.loaded(made)
    assert wizard.access is not None

    async def work(runner: Runner) -> None:
        await body(runner)

    wizard.work.start(what, loaded, wizard.access, source_of(made), wizard.ask, work)
    return f"{what} has begun; the page tells how far it is"


async def pause(wizard: Wizard, target: str) -> str:
    """Begin nothing more."""
    wizard.work.pause()
    return "it pauses when the actions under way are over"


async def compare(wizard: Wizard, target: str) -> str:
    """Compare every VM that moved."""
    made = await wizard.made()
    loaded = await wizard.loaded(made)
    before = several(made.state.answers.get("accept.before", made.state.answers.get("assess.flows", "")))
    access = made.access if made.cluster else None
    return await wizard.comparing.compare(loaded, access, before)


async def sign(wizard: Wizard, target: str) -> str:
    """Sign off a VM or a wave that was compared."""
    wizard.guard(f"sign off {target}")
    loaded = await wizard.loaded(await wizard.made())
    answers = wizard.state.of("accept")
    missing, reason = several(answers.get("missing", "")), answers.get("reason", "")
    return await asyncio.to_thread(
        wizard.comparing.sign, loaded, _named(target), answers.get("note", ""), missing, reason
    )


ACTIONS: dict[str, Callable[[Wizard, str], Awaitable[str]]] = {
    "read": read,
    "look": look,
    "prove": prove,
    "seen": seen,
    "write": write,
    "try": attempt,
    "apply": apply,
    "rehearse": rehearse,
    "start": start,
    "move": move,
    "pause": pause,
    "rollback": rollback,
    "compare": compare,
    "sign": sign,
}
