"""The node's ports: which NIC hangs on which link, what state it is in, what to do about it. One `reconcile` per pass.

A port that is right is never touched: bringing it up again would interrupt a VM. What is wrong with one port is kept
with it, as words for the report and its Network's condition, and never stops another.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bascule.errors import BasculeError
from bascule.flows.names import PortId
from bascule.hostplan.observed import Observed
from bascule.resources.pod import PodNic
from bascule_agent.apply.host import Host
from bascule_agent.apply.worker import Worker
from bascule_agent.bpf.layout import PortState
from bascule_agent.errors import describe
from bascule_agent.ports import Port
from bascule_agent.report import PortView

log = logging.getLogger("bascule_agent")

KEEP_SECONDS = 60.0  # flow records of a port that went still need its name
Key = tuple[str, str, str]


def key_of(nic: PodNic) -> Key:
    """A port's identity on this node."""
    return (nic.namespace, nic.pod, nic.interface)


@dataclass(frozen=True)
class Known:
    """A port the cluster wants here. `state` as in the report; `error` why bring-up failed."""

    nic: PodNic
    ifindex: int = 0
    link: str = ""
    state: str = "waiting"
    reason: str = ""
    error: BasculeError | None = None


class Admission(Protocol):
    """What ports ask of policy (bascule_agent.policy.policies.Policies)."""

    async def admit(self, key: Key, ifindex: int, slot: int) -> tuple[int, str]: ...
    async def gone(self, key: Key) -> None: ...


@dataclass(frozen=True)
class Result:
    """One reconcile: ports changed, those that failed, and whether something is still to come without an error."""

    changes: int
    failed: tuple[Known, ...]
    waiting: bool


class Ports:
    """Owned by the event loop; what blocks runs in the Worker, one port at a time."""

    def __init__(self, node: str, host: Host, worker: Worker, policies: Admission | None = None) -> None:
        """`policies` says under which policy a port comes up; without it ports ask none."""
        self._node, self._host, self._worker, self._policies = node, host, worker, policies
        self._known: dict[Key, Known] = {}
        self._gone: list[tuple[float, PortId]] = []
        self._suspect: set[int] = set()
        self.adopted = 0

    def by_ifindex(self, ifindex: int) -> Known | None:
        """The port on a link."""
        return next((k for k in self._known.values() if k.ifindex == ifindex), None)

    def of_migration(self, uid: str) -> list[Known]:
        """The ports of a migration's target pod here."""
        return [k for k in self._known.values() if k.nic.migration_uid == uid and k.ifindex]

    def views(self) -> list[PortView]:
        """For the report."""
        return [PortView(k.nic, k.state, k.ifindex, k.reason) for k in self._known.values()]

    def ids(self) -> tuple[PortId, ...]:
        """For flow batches: every port, and those that went in the last minute."""
        since = time.monotonic() - KEEP_SECONDS
        self._gone = [(at, port) for at, port in self._gone if at > since]
        here = [self._id(k) for k in self._known.values() if k.ifindex]
        taken = {port.ifindex for port in here}
        return (*here, *(port for _, port in self._gone if port.ifindex not in taken))

    def _id(self, known: Known) -> PortId:
        nic = known.nic
        where = (nic.network, nic.vlan, nic.mac, nic.ip)
        return PortId(self._node, known.ifindex, nic.vm, nic.namespace, nic.nic, *where, nic.labels)

    def suspect(self, ifindex: int) -> None:
        """This port is not as it should be: the next pass brings it up again."""
        self._suspect.add(ifindex)

    async def adopt(self) -> None:
        """At start: look at what an earlier agent left; what is not right is brought up again by the next pass."""
        manager = self._host.ports
        if manager is None:
            return
        for ifindex, port in (await self._worker(manager.state)).items():
            await self._catch_up(ifindex, port.state)
        for found in await self._worker(manager.adopt):
            if not found.problems:
                self.adopted += 1
            else:
                log.warning("port %d: %s", found.port.ifindex, "; ".join(found.problems))
                self._suspect.add(found.port.ifindex)

    async def _catch_up(self, ifindex: int, state: PortState) -> None:
        """What an agent that died between an event and its handling left undone; harmless when it was done."""
        finish = self._host.moved if state is PortState.MOVED else self._host.opened
        try:
            await self._worker(finish, ifindex)
        except BasculeError as error:
            log.warning("port %d: %s", ifindex, error)

    async def reconcile(
        self, nics: Iterable[PodNic], observed: Observed, bridges: Mapping[tuple[str, int], int], held: frozenset[Key]
    ) -> Result:
        """Bring wanted ports up, take the others down. `bridges`: (network, vlan) → bridge's ifindex; `held`: ports
        that must wait for their VM's first frame."""
        manager = self._host.ports
        if manager is None:
            self._known = {key_of(nic): await self._looked_at(nic, observed) for nic in nics}
            return Result(0, (), False)
        kernel = await self._worker(manager.state)
        wanted = {key_of(nic): nic for nic in nics}
        changes = 0
        for key, nic in wanted.items():
            before = self._known.get(key, Known(nic))
            ifindex = await self._link_of(before, nic, observed)
            # Known by its link before it is up: its first frame may come back through the ring before bring-up returns.
            self._known[key] = before = replace(before, nic=nic, ifindex=ifindex)
            known, changed = await self._settle(before, observed, bridges, kernel.get(ifindex), key in held)
            self._known[key] = known
            changes += changed
        changes += await self._drop(set(self._known) - set(wanted), kernel, observed)
        failed = tuple(k for k in self._known.values() if k.error is not None)
        return Result(changes, failed, any(k.state == "waiting" for k in self._known.values()))

    async def _looked_at(self, nic: PodNic, observed: Observed) -> Known:
        """In mode observe: which link it is, and no more."""
        before = self._known.get(key_of(nic), Known(nic))
        ifindex = await self._link_of(before, nic, observed)
        link = observed.name_of(ifindex) if ifindex else ""
        return Known(nic, ifindex, link, reason="mode observe: Calico owns the ports")

    async def refresh(self) -> None:
        """Read the states again after a port event."""
        manager = self._host.ports
        if manager is None:
            return
        kernel = await self._worker(manager.state)
        for key, known in self._known.items():
            port = kernel.get(known.ifindex)
            if port is not None and known.error is None and known.state != "waiting":
                self._known[key] = replace(known, state=port.state.name.lower())

    async def _link_of(self, before: Known, nic: PodNic, observed: Observed) -> int:
        if before.ifindex in observed.by_index:
            return before.ifindex
        return await self._worker(self._host.resolve, nic)

    async def _settle(
        self,
        known: Known,
        observed: Observed,
        bridges: Mapping[tuple[str, int], int],
        port: Port | None,
        held: bool,
    ) -> tuple[Known, bool]:
        """The port as it now is, and whether it had to be touched."""
        nic, link = known.nic, observed.by_index.get(known.ifindex)
        bridge = bridges.get((nic.network, nic.vlan), 0)
        if link is None:
            gone = f"no link: {nic.interface} in {nic.netns or 'a namespace not named yet'} has no host side here"
            return replace(known, link="", state="waiting", reason=gone, error=None), False
        known = replace(known, link=link.name)
        if not bridge:
            none = f"no bridge for VLAN {nic.vlan} of Network {nic.network}: see the Network's condition"
            return replace(known, state="waiting", reason=none, error=None), False
        sound = link.up and link.master == bridge and known.ifindex not in self._suspect
        slot, unpoliced = await self._admit(known, port)
        if port and sound and _right(port, nic, bridge) and port.slot == slot:
            return replace(known, state=port.state.name.lower(), reason="", error=None), False
        if unpoliced:
            return replace(known, state="waiting", reason=f"no policy is in force: {unpoliced}", error=None), False
        return await self._bring_up(known, bridge, held and not (port and port.state is PortState.LIVE), slot), True

    async def _admit(self, known: Known, port: Port | None) -> tuple[int, str]:
        """The slot of the port's policy, or why there is none yet."""
        if self._policies is None:
            return 0, ""
        return await self._policies.admit(key_of(known.nic), known.ifindex, port.slot if port else 0)

    async def _bring_up(self, known: Known, bridge: int, held: bool, slot: int) -> Known:
        try:
            port = await self._worker(self._host.bring_up, known.nic, known.ifindex, bridge, held, slot)
        except BasculeError as error:
            message, cause, fix = describe(error)
            log.error("port %s of %s stays down: %s", known.link, known.nic.vm, error)
            why = "; ".join(part for part in (message, cause, fix) if part)
            return replace(known, state="down", reason=why, error=error)
        self._suspect.discard(known.ifindex)
        log.info("port %s of %s/%s is %s", known.link, known.nic.namespace, known.nic.vm, port.state.name.lower())
        return replace(known, state=port.state.name.lower(), reason="", error=None)

    async def _drop(self, keys: set[Key], kernel: Mapping[int, Port], observed: Observed) -> int:
        """Forget these, and take down every port of the kernel that no NIC wants any more. One whose NIC is wanted but
        cannot be resolved at this moment stays: a look that failed must not cut a running VM off."""
        for key in keys:
            known = self._known.pop(key)
            if known.ifindex:
                self._gone.append((time.monotonic(), self._id(known)))
        wanted = {known.ifindex for known in self._known.values()}
        unresolved = {(each.nic.mac, each.nic.vlan) for each in self._known.values() if not each.ifindex}
        surplus = [
            ifindex
            for ifindex, port in kernel.items()
            if ifindex not in wanted and not (ifindex in observed.by_index and (port.mac, port.vlan) in unresolved)
        ]
        for ifindex in surplus:
            try:
                await self._worker(self._take_down, ifindex)
            except BasculeError as error:
                log.error("port %d cannot be taken down: %s", ifindex, error)
            else:
                log.info("port %d is taken down", ifindex)
        if self._policies is not None:
            for key in keys:
                await self._policies.gone(key)
        return len(surplus)

    def _take_down(self, ifindex: int) -> None:
        if self._host.ports is not None:
            self._host.ports.take_down(ifindex)


def _right(port: Port, nic: PodNic, bridge: int) -> bool:
    return (port.mac, port.ip, port.vlan, port.bridge) == (nic.mac, nic.ip, nic.vlan, bridge)
