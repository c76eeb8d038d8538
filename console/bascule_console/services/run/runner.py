"""The runner: which VMs, in which order, each from where its journal says that it stands to where it is to be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bascule.errors import BasculeError, RefusedError, UnreachableError, UsageError
from bascule.estate.load import load as load_estate
from bascule.migration.machine import BACK, BLOCKED, CHECK, ROLLBACK
from bascule.migration.run import ACCEPTED, ATTEMPT, HELD, MOVED, WAITING, Deed, RunRow, row
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.run import around
from bascule_console.services.run.act_create import CreateAct, DisksAct
from bascule_console.services.run.act_cutover import StartAct, StopAct
from bascule_console.services.run.act_network import NetworkAct, PolicyAct
from bascule_console.services.run.drive import drive, put
from bascule_console.services.run.events import Tell
from bascule_console.services.run.ledger import locked, read_deeds
from bascule_console.services.run.loaded import Loaded, planned
from bascule_console.services.run.moving import Act, Ends, Moving

Doc = dict[str, Any]
OVER = (MOVED, ACCEPTED, HELD)


class Runner:
    """One plan on one cluster from one source. Everything that happens is told to `tell`; nothing is printed."""

    def __init__(self, loaded: Loaded, ends: Ends, tell: Tell) -> None:
        self.loaded = loaded
        self.ends = ends
        self._tell = tell
        self._stopped = False
        self._uuids: dict[str, str] | None = None
        self._acts: dict[str, Act] = {
            "network": NetworkAct(), "policy": PolicyAct(), "create": CreateAct(),
            "stop": StopAct(), "disks": DisksAct(), "start": StartAct(),
        }  # fmt: skip

    async def run(self, wave: int = 0, vms: Sequence[str] = (), at_once: int = 1) -> list[RunRow]:
        """Bring VMs over: those named, else those of a wave, else of the first wave with a VM that is not over yet.

        One that was rolled back is tried anew only when it is named. Returns their rows. What one VM runs into is in
        its row and was told, and the others go on; raises UsageError, RefusedError (another run), and
        UnreachableError when cluster or source stay away: then run again goes on.
        """
        self._stopped = False
        with locked(self.ends.journal):
            rows = {each.target: each for each in self.status()}
            chosen = self.choose(rows, wave, vms)
            limit = asyncio.Semaphore(max(1, at_once))

            async def one(document: Doc) -> None:
                async with limit:
                    if not self._stopped:
                        try:
                            await self._bring(document)
                        except BaseException:
                            self._stopped = True
                            raise

            await _all([asyncio.create_task(one(document)) for document in chosen])
        names = {each["target"] for each in chosen}
        return [each for each in self.status() if each.target in names]

    async def rollback(self, name: str) -> RunRow:
        """Give a VM's address back to the old side. Raises RefusedError for one that was accepted or never begun."""
        document = self.loaded.find(name)
        with locked(self.ends.journal):
            before = self._row(document)
            refuse_rollback(before)
            vm = await self._moving(document)
            if not any(deed.action == ROLLBACK for deed in vm.deeds):
                await put(vm, "", ROLLBACK, True, {"why": "the operator asked for it"})
            await drive(vm, self._acts)
        return self._row(document)

    async def rehearse(self, wave: int = 0, vms: Sequence[str] = ()) -> list[RunRow]:
        """Only the first checks of what would be run; changes nothing, records nothing."""
        found = []
        for document in self.choose({each.target: each for each in self.status()}, wave, vms):
            vm, now = await self._moving(document), self._row(document)
            try:
                for step in ("network", "policy", "create", "stop"):
                    if now.state == WAITING:
                        await self._acts[step].check(vm)
            except UnreachableError:
                raise
            except BasculeError as error:
                now = replace(now, state=BLOCKED, step=step, action=CHECK, why=str(error))
            finally:
                await vm.close()
            found.append(now)
        return found

    def stop(self) -> None:
        """Begin nothing more: VMs that the old side still runs stay there, the others are brought to their end."""
        self._stopped = True

    def status(self) -> list[RunRow]:
        """Where every VM of the plan stands."""
        return status(self.loaded, self.ends.journal)

    def choose(self, rows: dict[str, RunRow], wave: int, vms: Sequence[str]) -> list[Doc]:
        """The VMs that would be run, in the plan's order. Raises UsageError."""
        if vms:
            named = [self.loaded.find(name) for name in vms]
            for document in named:
                if not document["wave"]:
                    raise UsageError(
                        f"{document['name']} is held back", "; ".join(document["held"]), "plan build again"
                    )
            return [each for each in named if rows[each["target"]].state not in OVER]
        open_rows = [each for each in rows.values() if each.state not in (*OVER, BACK)]
        wave = wave or min((each.wave for each in open_rows), default=0)
        members = [each for each in self.loaded.vms if each["wave"] == wave and wave]
        if wave and not members:
            raise UsageError(
                f"no wave {wave}", f"the plan has {len(self.loaded.document['waves'])}", "bascule plan show"
            )
        return [each for each in members if rows[each["target"]].state not in (*OVER, BACK)]

    async def _bring(self, document: Doc) -> None:
        vm = await self._moving(document)
        if self._row(document).state == BACK:
            await put(vm, "", ATTEMPT, True, {})
            vm.deeds.clear()
        await drive(vm, self._acts, lambda: self._stopped)

    async def _moving(self, document: Doc) -> Moving:
        deeds = read_deeds(self.ends.journal).get(f"{self.loaded.namespace}/{document['target']}", [])
        vm = Moving(self.loaded, self.ends, planned(document), await self._uuid(document), self._tell, deeds=deeds)
        vm.around = await around.neighbours(vm, self.status())
        return vm

    async def _uuid(self, document: Doc) -> str:
        """The source's UUID of a VM: of the one with the plan's key, UUID or name; the key's own where it has none."""
        if self._uuids is None:
            self._uuids = await _known(self.ends)
        last = str(document["key"]).rpartition("/")[2]
        for name in (document["key"], last, document["name"]):
            if name in self._uuids:
                return self._uuids[name]
        return last

    def _row(self, document: Doc) -> RunRow:
        return next(each for each in self.status() if each.target == document["target"])


async def _known(ends: Ends) -> dict[str, str]:
    """Key, UUID and name (where it is one VM's only) → UUID, of what the source has now."""
    files = await ends.source.files()
    if not files:
        return {}
    estate = await asyncio.to_thread(load_estate, files)
    names = [vm.name for vm in estate.vms]
    found = {vm.name: vm.uuid for vm in estate.vms if names.count(vm.name) == 1 and vm.uuid}
    found |= {vm.uuid: vm.uuid for vm in estate.vms if vm.uuid}
    return found | {vm.key: vm.uuid for vm in estate.vms if vm.uuid}


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for every VM, and only then raise the first fault that was not one VM's own: a VM that is down already is
    brought to its end first."""
    try:
        results = await asyncio.gather(*tasks, return_exceptions=True)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    for fault in results:
        if isinstance(fault, BaseException):
            raise fault


def refuse_rollback(now: RunRow) -> None:
    """Raise RefusedError where there is nothing to go back from, or no way."""
    if now.state in (WAITING, HELD, BACK):
        raise RefusedError(f"nothing to roll back: {now.target} is {now.state}", fix="bascule plan status")
    if now.state == ACCEPTED:
        cause = "it was accepted: the old side may have given up its disks and its address since"
        raise RefusedError(f"{now.target} is not rolled back", cause, "move it back by hand")


def status(loaded: Loaded, journal: Journal | None = None) -> list[RunRow]:
    """Where every VM of a plan stands, by the journal. Needs neither cluster nor source."""
    found: dict[str, list[Deed]] = read_deeds(journal or Journal(journal_path()))
    return [row(vm, loaded.namespace, found.get(f"{loaded.namespace}/{vm['target']}", [])) for vm in loaded.vms]
