"""Moves whose target is this node: who moves, from where, with what loss; one record each, owned here.

A target pod keeps its migration label for life, so a NIC counts as moving only while its VMIM is known and open; the
two can arrive in either order. Old migrations that a watch lists again are not records.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bascule.continuity import Record
from bascule.protocol.gen.agent_pb2 import MoveRecord
from bascule.resources.kubevirt import Instance, Migration
from bascule.resources.meta import Meta
from bascule.resources.pod import PodNic
from bascule_agent.flows.clock import kernel_clock
from bascule_agent.moves.around import Control, Extras, Surroundings
from bascule_agent.moves.clock import Clock, RealClock
from bascule_agent.moves.dial import Dial
from bascule_agent.moves.events import PortCounts, PortFrame
from bascule_agent.moves.facts import apply_migration, ended, is_cut_off
from bascule_agent.moves.follow import Filter, Follower
from bascule_agent.moves.move import Move
from bascule_agent.moves.store import RecordStore

FOLLOW_SECONDS = 0.5
WAITING_LIMIT = 256
VMI_LIMIT = 20_000
WATCHES = 8
log = logging.getLogger(__name__)
T = TypeVar("T")


class MoveTracker:
    """Fed by the runtime on the event loop; nothing here waits, everything that does is a task."""

    def __init__(
        self,
        node: str,
        directory: Path,
        dial: Dial,
        vantage_points: Callable[[], Mapping[str, str]],
        read_node: Callable[[str], Awaitable[Mapping[str, Any]]],
        clock: Clock | None = None,
        extras: Extras | None = None,
    ) -> None:
        """`directory` holds the records; `vantage_points` gives name → JSON of the ConfigMap; `read_node` a Node."""
        self._node = node
        self._clock = clock or RealClock()
        self._store = RecordStore(directory)
        self._moves: OrderedDict[str, Move] = OrderedDict()
        self._open: OrderedDict[str, tuple[Migration, Mapping[str, str]]] = OrderedDict()
        self._waiting: OrderedDict[str, list[PodNic]] = OrderedDict()
        self._addresses: OrderedDict[tuple[str, str], dict[str, tuple[str, str]]] = OrderedDict()
        self._nads: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()
        self._after: OrderedDict[str, Move] = OrderedDict()
        self._followers: set[Follower] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        self._around = Surroundings(
            dial,
            self._clock,
            vantage_points,
            read_node,
            self._told,
            self._changed,
            self._control,
            extras or Extras(),
        )

    def nic_discovered(self, nic: PodNic) -> None:
        """A NIC of a launcher pod on this node. Call it before the port is set up: the probes start here."""
        uid = nic.migration_uid
        if not uid:
            return
        if uid in self._moves:
            self._moves[uid].add_nic(nic)
        elif uid in self._open:
            self._begin(uid, [nic])
        elif nic not in self._waiting.get(uid, []):
            others = [known for known in self._waiting.get(uid, []) if known.interface != nic.interface]
            _bounded(self._waiting, uid, [*others, nic], WAITING_LIMIT)

    def vmim_changed(self, document: Mapping[str, Any]) -> None:
        """A VMIM as the watch has it now."""
        migration, meta = Migration.of(document), Meta.of(document)
        uid = meta.uid
        if not migration.ended:
            _bounded(self._open, uid, (migration, meta.annotations), WAITING_LIMIT)
            self._moved_again(uid, meta.namespace, migration.vmi)
            if uid in self._waiting and uid not in self._moves:
                self._begin(uid, self._waiting.pop(uid))
        else:
            self._open.pop(uid, None)
            self._waiting.pop(uid, None)
        move = self._moves.get(uid)
        if migration.ended and not move and uid not in self._after and uid in self._store:
            self._spawn(self._amend(uid, migration, meta.annotations))
        if move:
            apply_migration(move.record, migration, meta.annotations)
            if migration.ended:
                move.end(self._complete, self._watched)
            self._changed(move)

    def vmim_deleted(self, document: Mapping[str, Any]) -> None:
        """A VMIM is gone; if it had not ended, its record ends here and says so."""
        uid = Meta.of(document).uid
        self._open.pop(uid, None)
        self._waiting.pop(uid, None)
        move = self._moves.get(uid)
        if move and not move.ending:
            move.record.missing["vmim"] = "the VMIM was deleted before it had ended"
            move.end(self._complete, self._watched)

    def vmi_changed(self, document: Mapping[str, Any]) -> None:
        """A VMI as the watch has it now: the addresses its status reports."""
        instance = Instance.of(document)
        told = {
            entry.name: (next((ip for ip in (entry.ip, *entry.ips) if "." in ip), ""), entry.mac)
            for entry in instance.interfaces
            if entry.name
        }
        _bounded(self._addresses, (instance.meta.namespace, instance.name), told, VMI_LIMIT)
        nads = {nic.name: nic.nad for nic in instance.nics} if instance.phase == "Running" else {}
        _bounded(self._nads, (instance.meta.namespace, instance.name), nads, VMI_LIMIT)

    def port_live(self, migration_uid: str, interface: str) -> None:
        """The held port of this NIC has opened, by a frame of any kind."""
        move = self._moves.get(migration_uid)
        if move:
            move.port_live(interface)

    def port_opened(self, event: PortFrame) -> None:
        """The first frame of a kind with the VM's MAC at the target's port; later ones of that kind are ignored."""
        move = self._moves.get(event.migration_uid)
        if move and all((a["kind"], a["port"]) != (event.kind, event.port) for a in move.record.announcements):
            item = {"kind": event.kind, "at": event.at_ns, "node": self._node, "port": event.port}
            move.record.announcements.append(item)
            self._changed(move)

    def port_counts(self, event: PortCounts) -> None:
        """Counts at the target's port."""
        move = self._moves.get(event.migration_uid)
        if move:
            move.record.held_frames, move.record.guest_frames = event.held, event.from_guest

    def handed_over(self, migration_uid: str, what: dict[str, Any], problem: str) -> None:
        """What came along from the source (Handovers); `problem` says why nothing did, "" else."""
        move = self._moves.get(migration_uid)
        if move:
            move.record.handover = what
            move.record.missing.pop("handover", None)
            if problem:
                move.record.missing["handover"] = f"{problem}; mid-stream TCP was admitted for {what['admitted_s']} s"
            self._changed(move)

    @property
    def open_moves(self) -> frozenset[str]:
        """Migration uids whose record is being filled."""
        return frozenset(self._moves)

    async def records(self, vm: str = "", namespace: str = "", migration_uid: str = "") -> AsyncIterator[MoveRecord]:
        """Records, newest first: those in progress, then those on disk; empty filters match all."""
        wanted = Filter(vm, namespace, migration_uid)
        active = {uid: move for uid, move in reversed(self._moves.items()) if wanted(uid, move.record)}
        stored = [uid for uid, entry in self._store.newest_first() if uid not in active and wanted(uid, entry)]
        for move in active.values():
            yield self._message(move)
        for uid in stored:
            record = await asyncio.to_thread(self._store.read, uid)
            if record:
                yield record

    async def follow(self, vm: str = "", namespace: str = "", migration_uid: str = "") -> AsyncIterator[MoveRecord]:
        """`records`, then every change, at most one message per move and 0.5 s; a completed record always comes."""
        follower = Follower(Filter(vm, namespace, migration_uid))
        self._followers.add(follower)
        try:
            async for record in self.records(vm, namespace, migration_uid):
                yield record
            while True:
                for uid in await follower.changed():
                    move = self._moves.get(uid)
                    changed = self._message(move) if move else await asyncio.to_thread(self._store.read, uid)
                    if changed:
                        yield changed
                await self._clock.sleep(FOLLOW_SECONDS)
        finally:
            self._followers.discard(follower)

    async def close(self) -> None:
        """Stop all probes; records in progress are written as they are."""
        for move in [*self._moves.values(), *self._after.values()]:
            running = (move.record.aftershock or {}).get("state") == "running"
            await move.close()
            if not move.record.complete or running:
                self._write(move)
        await asyncio.gather(*self._writes)

    def _told(self, namespace: str, vm: str) -> Mapping[str, tuple[str, str]]:
        return self._addresses.get((namespace, vm), {})

    def _control(self, namespace: str, vm: str, nad: str) -> Control | None:
        """A running VM on the same attachment that is not being moved; the first by name."""
        moving = {(m.meta.namespace, m.vmi) for m, _ in self._open.values()} | {(namespace, vm)}
        for (other_ns, other), nads in sorted(self._nads.items()):
            for name, its in nads.items():
                ip = self._told(other_ns, other).get(name, ("", ""))[0]
                if nad and its == nad and ip and (other_ns, other) not in moving:
                    return Control(f"{other_ns}/{other}", ip)
        return None

    def _moved_again(self, uid: str, namespace: str, vm: str) -> None:
        for known, move in self._after.items():
            if known != uid and (move.record.namespace, move.record.vm) == (namespace, vm):
                move.cut_short("the VM was moved again")

    def _begin(self, uid: str, nics: list[PodNic]) -> None:
        if uid in self._store:
            log.info("migration %s: this agent was restarted during the move, its record begins anew", uid)
        migration, annotations = self._open[uid]
        record = Record(uid, migration.vmi or nics[0].vm, nics[0].namespace, self._node)
        if uid in self._store:
            record.missing["agent"] = "the agent was restarted during the move; what came before is not in the record"
        apply_migration(record, migration, annotations)
        clock = kernel_clock()
        told = {"offset_ns": clock.offset_ns, "error_ns": clock.error_ns, "source": clock.source}
        record.clocks[self._node] = told
        move = self._moves[uid] = Move(record, self._around, annotations)
        for nic in nics:
            move.add_nic(nic)
        self._write(move)

    def _complete(self, move: Move) -> None:
        if move.record.aftershock is not None:
            self._after[move.record.migration_uid] = move
            for older in list(self._after.values())[:-WATCHES]:
                older.cut_short(f"more than {WATCHES} moves were watched at once")
        self._write(move, then_forget=True)

    def _watched(self, move: Move) -> None:
        """The minute after is over: the record is written again, with what the watch saw."""
        if self._after.pop(move.record.migration_uid, None) is not None:
            self._write(move, then_tell=True)

    def _write(self, move: Move, then_forget: bool = False, then_tell: bool = False) -> None:
        document, uid = move.snapshot(), move.record.migration_uid

        async def write() -> None:
            try:
                async with self._writing:  # in order: the complete record must not be overtaken by its beginning
                    self._store.add(uid, await asyncio.to_thread(self._store.save, uid, document))
            except OSError as error:
                log.error("the record of migration %s cannot be written: %s", uid, error)
                return
            if then_forget:
                self._moves.pop(uid, None)
            if then_forget or then_tell:
                self._changed(move)

        self._spawn(write())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _amend(self, uid: str, migration: Migration, annotations: Mapping[str, str]) -> None:
        """A record that this agent did not live to complete learns from the cluster how the migration ended."""
        stored = await asyncio.to_thread(self._store.read, uid)
        if stored is None or not is_cut_off(document := json.loads(stored.json)):
            return
        try:
            async with self._writing:
                saved = await asyncio.to_thread(self._store.save, uid, ended(document, migration, annotations))
        except OSError as error:
            log.error("the record of migration %s cannot be written: %s", uid, error)
            return
        self._store.add(uid, saved)
        for follower in self._followers:
            follower.note(uid, saved)

    def _message(self, move: Move) -> MoveRecord:
        document = move.snapshot()
        return MoveRecord(
            json=json.dumps(document, separators=(",", ":")),
            complete=document["complete"],
            migration_uid=document["migration_uid"],
        )

    def _changed(self, move: Move) -> None:
        for follower in self._followers:
            follower.note(move.record.migration_uid, move.record)


def _bounded(table: OrderedDict[Any, T], key: Any, value: T, limit: int) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > limit:
        table.popitem(last=False)
