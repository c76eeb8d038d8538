"""Policy as the agent's other rooms see it: may a port come up, what is in force, what did it do, what comes along.

Compiling and writing maps runs in a thread of its own, one piece of changes at a time, and rests as long as it worked:
a storm of label changes takes half a core at most, and neither port events nor flows wait for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from numpy.typing import NDArray

from bascule.policy.endpoints import Key
from bascule.policy.layout import RuleName
from bascule_agent.bpf.objects import Objects
from bascule_agent.errors import describe
from bascule_agent.policy import connections, report
from bascule_agent.policy.enforce import Changed, Enforcer
from bascule_agent.policy.hits import HitCount, Hits, counted
from bascule_agent.policy.logs import PolicyLogs, shown
from bascule_agent.policy.maps import PolicyMaps
from bascule_agent.policy.memory import Memory
from bascule_agent.policy.watch import Piece, PolicyWatch
from bascule_agent.status import rfc3339

log = logging.getLogger("bascule_agent")

P = ParamSpec("P")
T = TypeVar("T")
KEEP_SECONDS = 5.0
LONGEST_REST_SECONDS = 1.0
IFINDEXES = 4096


class Policies:
    """Owned by the event loop. `event(reason, message)` tells the cluster, `poke()` asks for a pass."""

    def __init__(
        self,
        objects: Objects,
        watch: PolicyWatch,
        path: Path,
        event: Callable[[str, str], None],
        poke: Callable[[], None],
    ) -> None:
        self._objects, self._watch, self._event, self._poke = objects, watch, event, poke
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._maps = PolicyMaps(objects)
        self._memory = Memory(path)
        self._enforcer = Enforcer(self._maps, self._memory)
        self._ifindexes: OrderedDict[int, Key] = OrderedDict()
        self._hits = HitCount(self._ifindexes.get, self._enforcer.rules.name, self._memory.hits, time.time_ns())
        self._logs = PolicyLogs(objects)
        self._waiting: set[Key] = set()

    async def run(self) -> None:
        """For ever: take what changed, bring it into force."""
        await self._watch.start()
        while True:
            piece = await self._watch.next()
            before = time.monotonic()
            try:
                self._tell(await self._in_thread(self._take, piece))
            except Exception as error:  # the programs in force stay; the next change is another try
                log.error("policy could not be brought up to date: %s", describe(error)[0], exc_info=True)
            await asyncio.sleep(min(time.monotonic() - before, LONGEST_REST_SECONDS))

    async def keep(self) -> None:
        """For ever: write down what was counted."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            await self._in_thread(self._keep, self._hits.document())

    def start_logs(self) -> None:
        """Begin to read what Log rows tell."""
        self._logs.start()

    async def close(self) -> None:
        """Stop; everything stays in force."""
        self._logs.close()
        await self._watch.stop()
        await self._in_thread(self._keep, self._hits.document())
        self._thread.shutdown()
        self._maps.close()

    async def admit(self, key: Key, ifindex: int, slot: int) -> tuple[int, str]:
        """The slot of a NIC's port; 0 and why when it must not come up yet. `slot` is the one that it has."""
        bound = self._enforcer.nics.get(key)
        if bound is not None and self._ifindexes.get(ifindex) == key:
            return bound.slot, ""
        nic = await self._in_thread(self._enforcer.bind, key, slot)
        if isinstance(nic, str):
            self._waiting.add(key)
            return 0, nic
        self._waiting.discard(key)
        self._ifindexes[ifindex] = key
        while len(self._ifindexes) > IFINDEXES:
            self._ifindexes.popitem(last=False)
        return nic.slot, ""

    async def gone(self, key: Key) -> None:
        """The NIC's port was taken down."""
        self._waiting.discard(key)
        await self._in_thread(self._enforcer.unbind, key)
        self._hits.forget(key)

    def count(self, records: NDArray[Any]) -> None:
        """One drain's flow records."""
        self._hits.add(records)

    def names(self, rules: Iterable[int]) -> dict[int, str]:
        """Rule ids in words."""
        found = {rule: self._enforcer.rules.name(rule) for rule in rules}
        return {rule: name.text for rule, name in found.items() if name is not None}

    async def document(self) -> dict[str, Any]:
        """What `Policies` answers."""
        hits = {key: dict(self._hits.of(key)) for key in {*self._ifindexes.values()}}
        return await self._in_thread(self._document, dict(self._ifindexes.items()), hits, set(self._waiting))

    async def hand_over(self, ifindex: int) -> tuple[str, bytes]:
        """(JSON of the counters, connections) of a port here."""
        key = self._ifindexes.get(ifindex)
        return await self._in_thread(self._hand_over, ifindex, dict(self._hits.of(key)) if key else {})

    def judges(self, ifindex: int) -> bool:
        """May what is known of connections matter at a port here? Not where everything is allowed anyway."""
        key = self._ifindexes.get(ifindex)
        nic = self._enforcer.nics.get(key) if key else None
        if nic is None or nic.program is None:
            return True
        return nic.program.staged is not None or not nic.program.enforced.passes_all

    async def take_over(self, ifindex: int, told: str, handed: bytes, last: bool) -> int:
        """Enter what another node handed over; counters with the last piece. How many connections came."""
        entered, hits = await self._in_thread(self._take_over, ifindex, told, handed)
        key = self._ifindexes.get(ifindex)
        if last and key:
            self._hits.take_over(key, hits)
        return entered

    async def admit_streams(self, ifindex: int, until_ns: int) -> None:
        """Let mid-stream TCP pass at a port until then (CLOCK_MONOTONIC)."""
        key = self._ifindexes.get(ifindex)
        nic = self._enforcer.nics.get(key) if key else None
        if nic is not None:
            await self._in_thread(self._maps.admit, nic.slot, until_ns)

    async def _in_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: fn(*args, **kwargs))

    def _take(self, piece: Piece) -> Changed:
        if piece.whole:
            return self._enforcer.load(self._watch.policies(), self._watch.endpoints())
        return self._enforcer.change(*self._watch.changes(piece.pods))

    def _tell(self, changed: Changed) -> None:
        for key, reason in changed.refused.items():
            nic = self._enforcer.nics.get(key)
            endpoint = self._enforcer.enforced.blocks.endpoints.get(key)
            name = endpoint.name if endpoint else "/".join(key)
            keeps = "keeps the policy it had" if nic else "stays down: it has had no policy yet"
            self._event("PolicyRefused", f"NIC {name} {keeps}; cause: {reason}; fix: put that right, or delete it")
        if self._waiting.intersection(changed.ready):
            self._poke()

    def _keep(self, document: dict[str, Any]) -> None:
        if document != self._memory.hits:
            self._memory.hits = document
            self._memory.write()

    def _document(self, ports: dict[int, Key], hits: dict[Key, dict[int, Hits]], waiting: set[Key]) -> dict[str, Any]:
        ifindexes = {key: ifindex for ifindex, key in ports.items()}
        found = counted(self._objects, ports)
        keys = sorted({*self._enforcer.nics, *waiting})
        return {
            "generation": self._enforcer.generation,
            "nics": [
                report.nic_report(self._enforcer, key, ifindexes.get(key, 0), hits.get(key, {}), found) for key in keys
            ],
            "refused": report.refusals(self._enforcer),
            "logs": [self._log(row) for row in list(self._logs.entries)],
            "logged": self._logs.seen,
            "connections": len(self._objects.rows("conntrack")[0]),
            "since_hits": rfc3339(self._hits.since_ns / 1e9),
        }

    def _log(self, row: Any) -> dict[str, Any]:
        key = self._ifindexes.get(int(row["ifindex"]))
        endpoint = self._enforcer.enforced.blocks.endpoints.get(key) if key else None
        name = self._enforcer.rules.name(int(row["rule"]))
        return {
            "time": rfc3339(int(row["time"]) / 1e9, micro=True),
            "nic": endpoint.name if endpoint else "",
            "rule": name.text if name else "",
            **shown(row),
        }

    def _hand_over(self, ifindex: int, hits: dict[int, Hits]) -> tuple[str, bytes]:
        rows = connections.take(self._objects, ifindex)
        named = [(self._enforcer.rules.name(rule), found) for rule, found in hits.items()]
        told = [[astuple(name), found.packets, found.bytes, found.last_ns] for name, found in named if name is not None]
        return json.dumps({"hits": told}), rows.tobytes()

    def _take_over(self, ifindex: int, told: str, handed: bytes) -> tuple[int, dict[int, Hits]]:
        entered = connections.give(self._objects, ifindex, handed)
        hits = json.loads(told).get("hits", [])
        return entered, {self._enforcer.rules.of(RuleName(*name)): Hits(*found) for name, *found in hits}
