"""What this node must know: Networks, itself, NADs, its Pods, VMIs, migrations, vantage points; cached and current.

Informers keep the documents; one callback says that something changed that a pass decides on, because the runtime then
looks at everything and acts on the difference. A pass costs a dump of all links (20 to 40 ms of CPU), and the cluster
changes most just when a VM is moving: a phase of somebody's migration is no reason for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError
from bascule.resources.kubevirt import Migration
from bascule.resources.pod import PodContractError, PodNic, is_launcher, nics_of
from bascule_kube.cluster import Cluster
from bascule_kube.informer import Informer
from bascule_kube.kinds import CONFIGMAP, NAD, NETWORK, NODE, POD, VMI, VMIM, Kind

Obj = dict[str, Any]
SYSTEM_NAMESPACE = "bascule-system"
VANTAGE_POINTS = "vantage-points"


@dataclass(frozen=True)
class Known:
    """One look at the caches. `nics` are those of launcher pods that are not being deleted and not finished;
    `broken` are pods whose annotations do not hold the contract."""

    node: Obj
    networks: tuple[Obj, ...]
    nics: tuple[PodNic, ...]
    broken: tuple[PodContractError, ...]
    ended_migrations: frozenset[str]


class Watch:
    """The informers of one node. `on_change()` runs in the loop after any change, `listeners[kind](object)` before it
    for each object that came or changed."""

    def __init__(
        self,
        cluster: Cluster,
        node: str,
        on_change: Callable[[], None],
        listeners: Mapping[Kind, Callable[[Obj], None]] | None = None,
    ) -> None:
        self._node, self._changed, self._listeners = node, on_change, dict(listeners or {})
        self._last: object = None
        own = f"metadata.name={node}"
        self._of: dict[Kind, Informer] = {
            kind: Informer(cluster, kind, namespace=namespace, field_selector=fields, on_change=self._note(kind))
            for kind, namespace, fields in (
                (NETWORK, None, None),
                (NODE, None, own),
                (NAD, None, None),
                (POD, None, f"spec.nodeName={node}"),
                (VMI, None, None),
                (VMIM, None, None),
                (CONFIGMAP, SYSTEM_NAMESPACE, None),
            )
        }

    def _note(self, kind: Kind) -> Callable[[str, Obj], None]:
        def changed(event: str, obj: Obj) -> None:
            if event != "DELETED" and kind in self._listeners:
                self._listeners[kind](obj)
            essence = self._essence()
            if essence != self._last:
                self._last = essence
                self._changed()

        return changed

    def _essence(self) -> object:
        """What a pass and its report decide on, without versions, phases and heartbeats."""
        known = self.known()
        node = known.node.get("metadata") or {}
        return (
            (node.get("labels"), node.get("annotations"), (known.node.get("status") or {}).get("conditions")),
            [(document["metadata"]["name"], document.get("spec")) for document in known.networks],
            known.nics,
            [str(problem) for problem in known.broken],
            known.ended_migrations,
            self.vantage_points(),
            [document.get("spec") for document in self.objects(NAD)],
        )

    async def start(self) -> None:
        """Begin, and wait until every cache holds its first complete list. What keeps one from it is retried for ever:
        ports that already work must not depend on the API server."""
        for informer in self._of.values():
            informer.start()
        await asyncio.gather(*(informer.synced.wait() for informer in self._of.values()))

    async def stop(self) -> None:
        """End every informer."""
        await asyncio.gather(*(informer.stop() for informer in self._of.values()))

    @property
    def errors(self) -> list[BasculeError]:
        """What keeps caches from being current."""
        return [informer.error for informer in self._of.values() if informer.error is not None]

    def objects(self, kind: Kind) -> list[Obj]:
        """The cached documents of one kind."""
        return list(self._of[kind].cache.values())

    def vantage_points(self) -> Mapping[str, str]:
        """name → JSON of `bascule-system/vantage-points`; empty when there is none."""
        found = self._of[CONFIGMAP].cache.get((SYSTEM_NAMESPACE, VANTAGE_POINTS), {})
        return dict(found.get("data") or {})

    def migration_of(self, namespace: str, vm: str) -> str:
        """The uid of the VM's migration: the open one, else the newest; "" when there is none."""
        found = [Migration.of(document) for document in self.objects(VMIM)]
        mine = [m for m in found if m.meta.namespace == namespace and m.vmi == vm]
        newest = max(mine, key=lambda m: (not m.ended, m.meta.created), default=None)
        return newest.meta.uid if newest else ""

    def known(self) -> Known:
        """Everything the runtime decides on."""
        vmis = self._of[VMI].cache
        nics: list[PodNic] = []
        broken: list[PodContractError] = []
        for pod in self.objects(POD):
            if not is_launcher(pod) or _over(pod):
                continue
            vm = str((pod["metadata"].get("labels") or {}).get("vm.kubevirt.io/name", ""))
            try:
                nics += nics_of(pod, vmis.get((pod["metadata"].get("namespace", ""), vm)))
            except PodContractError as error:
                broken.append(error)
        return Known(
            node=self._of[NODE].cache.get(("", self._node), {}),
            networks=tuple(self.objects(NETWORK)),
            nics=tuple(sorted(nics, key=lambda n: (n.namespace, n.pod, n.interface))),
            broken=tuple(broken),
            ended_migrations=frozenset(m.meta.uid for m in map(Migration.of, self.objects(VMIM)) if m.ended),
        )


def _over(pod: Obj) -> bool:
    """A finished pod has no guest any more; a deleted one keeps its port until its link is gone."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
