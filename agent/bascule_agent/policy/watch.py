"""What policy depends on, of the whole cluster: policies, tiers, sets, namespaces, accounts, and every pod as a peer.

Changes are collected and taken in one piece: a pod that changes a hundred times while a piece is worked on is looked at
once. A kind that the cluster does not have counts as empty.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from bascule.policy.endpoints import Endpoint, Key, endpoints_of
from bascule.policy.model import PolicySet
from bascule_kube.cluster import Cluster
from bascule_kube.errors import NotFound
from bascule_kube.informer import Informer
from bascule_kube.kinds import (
    GLOBALNETWORKSET,
    NAMESPACE,
    NETWORKSET,
    POD,
    POLICIES,
    SERVICEACCOUNT,
    TIER,
    VMI,
    Kind,
)

Obj = dict[str, Any]
DOCUMENTS = (*POLICIES, TIER, NETWORKSET, GLOBALNETWORKSET, NAMESPACE, SERVICEACCOUNT)
ASK_AGAIN_SECONDS = 0.05
SETTLE_SECONDS = 0.01


@dataclass
class Piece:
    """What changed: everything (`whole`), or these pods, by (namespace, name)."""

    whole: bool = False
    pods: set[tuple[str, str]] = field(default_factory=set)


class PolicyWatch:
    """The informers of policy. `instances()` and `attachments()` are the VMIs and NADs that another watch has."""

    def __init__(
        self,
        cluster: Cluster,
        node: str,
        instances: Callable[[], list[Obj]],
        attachments: Callable[[], list[Obj]],
    ) -> None:
        self._node, self._instances, self._attachments = node, instances, attachments
        self._dirty = Piece(whole=True)
        self._ready = asyncio.Event()
        self._known: dict[tuple[str, str], set[Key]] = {}
        self._seen: dict[tuple[str, ...], object] = {}
        self._of = {kind: Informer(cluster, kind, on_change=self._note(kind)) for kind in (*DOCUMENTS, POD)}

    def _note(self, kind: Kind) -> Callable[[str, Obj], None]:
        def changed(event: str, obj: Obj) -> None:
            meta = obj["metadata"]
            name = (meta.get("namespace", ""), meta["name"])
            key = (kind.plural, kind.group, *name)
            essence = None if event == "DELETED" else _essence(kind, obj)
            if key in self._seen and self._seen[key] == essence:
                return
            if essence is None:
                self._seen.pop(key, None)
            else:
                self._seen[key] = essence
            if kind is POD:
                self.pod_changed(*name)
            else:
                self.all_changed()

        return changed

    def instance_changed(self, document: Obj) -> None:
        """A VMI: what it says about the names and ports of its pods' NICs."""
        meta = document["metadata"]
        namespace, vm = meta.get("namespace", ""), meta["name"]
        interfaces = (((document.get("spec") or {}).get("domain") or {}).get("devices") or {}).get("interfaces")
        key = (VMI.plural, VMI.group, namespace, vm)
        if key not in self._seen or self._seen[key] != interfaces:
            self._seen[key] = interfaces
            for name, pod in self._of[POD].cache.items():
                if name[0] == namespace and _vm(pod) == vm:
                    self.pod_changed(*name)

    def pod_changed(self, namespace: str, name: str) -> None:
        """A pod, or what names its NICs, is another than before."""
        self._dirty.pods.add((namespace, name))
        self._ready.set()

    def all_changed(self) -> None:
        """Anything may be another than before."""
        self._dirty.whole = True
        self._ready.set()

    async def start(self) -> None:
        """Begin, and wait until all is known; what keeps it from that is retried for ever."""
        for informer in self._of.values():
            informer.start()
        for informer in self._of.values():
            while not informer.synced.is_set() and not isinstance(informer.error, NotFound):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(informer.synced.wait(), ASK_AGAIN_SECONDS)

    async def stop(self) -> None:
        """End every informer."""
        await asyncio.gather(*(informer.stop() for informer in self._of.values()))

    async def next(self) -> Piece:
        """What changed since the last call; waits until something has, and 10 ms for what comes with it."""
        await self._ready.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        self._ready.clear()
        piece, self._dirty = self._dirty, Piece()
        return piece

    def policies(self) -> PolicySet:
        """Everything that policy says."""
        return PolicySet.of(document for kind in DOCUMENTS for document in list(self._of[kind].cache.values()))

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint of the cluster; those of other nodes are peers only."""
        self._known.clear()
        found = self._endpoints(list(self._of[POD].cache.items()), self._instances())
        return [endpoint for _, endpoints in found for endpoint in endpoints]

    def changes(self, pods: Iterable[tuple[str, str]]) -> tuple[list[Endpoint], list[Key]]:
        """(endpoints that these pods have, endpoints that they have no longer)."""
        names = list(pods)
        vms = {(instance["metadata"].get("namespace", ""), instance["metadata"]["name"]): instance
               for instance in self._instances()}  # fmt: skip
        put: list[Endpoint] = []
        drop: list[Key] = []
        for name in names:
            before = self._known.get(name, set())
            pod = self._of[POD].cache.get(name)
            vmi = vms.get((name[0], _vm(pod))) if pod else None
            found = self._endpoints([(name, pod)] if pod else [], [vmi] if vmi else [])
            mine = [endpoint for _, endpoints in found for endpoint in endpoints]
            put += mine
            gone = before - {endpoint.key for endpoint in mine}
            drop += sorted(gone)
            if not mine:
                self._known.pop(name, None)
        return put, drop

    def _endpoints(
        self, pods: list[tuple[tuple[str, str], Obj]], instances: list[Obj]
    ) -> list[tuple[tuple[str, str], list[Endpoint]]]:
        local = {name for name, pod in pods if (pod.get("spec") or {}).get("nodeName") == self._node}
        found = endpoints_of([pod for _, pod in pods], instances, self._attachments()).endpoints
        by_pod: dict[tuple[str, str], list[Endpoint]] = {}
        for endpoint in found:
            name = (endpoint.namespace, endpoint.pod)
            # Without a VM's name it is a peer like any pod, and nothing is compiled for it.
            by_pod.setdefault(name, []).append(endpoint if name in local else replace(endpoint, vm="", nic=""))
        for name, endpoints in by_pod.items():
            self._known[name] = {endpoint.key for endpoint in endpoints}
        return list(by_pod.items())


def _vm(pod: Obj) -> str:
    return str((pod["metadata"].get("labels") or {}).get("vm.kubevirt.io/name", ""))


def _essence(kind: Kind, obj: Obj) -> object:
    """What policy can see of a document."""
    meta = obj["metadata"]
    status = obj.get("status") or {}
    if kind is POD:
        spec = obj.get("spec") or {}
        shown = (spec.get("nodeName"), spec.get("serviceAccountName"), spec.get("containers"), spec.get("hostNetwork"))
        addresses = (status.get("podIP"), status.get("podIPs"), status.get("phase") in ("Succeeded", "Failed"))
        return meta.get("labels"), meta.get("annotations"), shown, addresses
    return meta.get("labels"), obj.get("spec")
