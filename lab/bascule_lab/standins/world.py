"""What the stand-ins share: the cluster seen through one real client, and the words they write to it."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from bascule_kube import Cluster, Kind
from bascule_kube.errors import NotFound, Unreachable
from bascule_kube.informer import Informer
from bascule_kube.kinds import DATAVOLUME, IPPOOL, NAD, NETWORK, NODE, POD, PVC, VM, VMI, VMIM

log = logging.getLogger(__name__)
Obj = dict[str, Any]
Key = tuple[str, str]
T = TypeVar("T")
RETRY_S = 0.25
KINDS = (NODE, NETWORK, NAD, IPPOOL, VM, VMI, VMIM, POD, PVC, DATAVOLUME)


def now() -> str:
    """RFC 3339 with microseconds: finer than KubeVirt's seconds, and parsed by whoever parses those."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def key_of(obj: Mapping[str, Any]) -> Key:
    """(namespace, name); the namespace is empty for cluster-scoped objects."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


class World:
    """Caches of every kind the stand-ins read, and small writes, which wait for an API server that is away."""

    def __init__(self, cluster: Cluster, on_change: Callable[[Kind, str, Obj], None]) -> None:
        """`on_change(kind, type, object)` is called for everything that is there and that changes."""
        self.cluster = cluster
        self.informers = {kind: Informer(cluster, kind, on_change=partial(on_change, kind)) for kind in KINDS}

    async def start(self) -> None:
        """Fill the caches."""
        for informer in self.informers.values():
            informer.start()
        for informer in self.informers.values():
            await informer.synced.wait()

    async def stop(self) -> None:
        """Stop watching."""
        for informer in self.informers.values():
            await informer.stop()

    def get(self, kind: Kind, key: Key) -> Obj | None:
        """An object from the cache."""
        return self.informers[kind].cache.get(key)

    def all(self, kind: Kind) -> list[Obj]:
        """Every cached object of a kind."""
        return list(self.informers[kind].cache.values())

    def by_name(self, kind: Kind) -> dict[str, Obj]:
        """Cluster-scoped objects by name."""
        return {obj["metadata"]["name"]: obj for obj in self.all(kind)}

    async def set_status(self, kind: Kind, key: Key, status: Obj) -> None:
        """Merge into the status; an object that is gone is nothing to report on."""
        await self._merge(kind, key, {"status": status}, "status")

    async def annotate(self, kind: Kind, key: Key, annotations: Mapping[str, str]) -> None:
        """Merge annotations; an object that is gone keeps none."""
        await self._merge(kind, key, {"metadata": {"annotations": dict(annotations)}}, None)

    async def set_finalizers(self, kind: Kind, key: Key, names: list[str]) -> None:
        """Replace the finalizers; an object that is gone has none."""
        await self._merge(kind, key, {"metadata": {"finalizers": names}}, None)

    async def create(self, obj: Obj) -> Obj:
        """Create; returns what is stored. Raises AlreadyExists, Invalid."""
        return await patiently(lambda: self.cluster.create(obj))

    async def _merge(self, kind: Kind, key: Key, patch: Obj, subresource: str | None) -> None:
        def write() -> Awaitable[Obj]:
            return self.cluster.merge_patch(kind, key[1], patch, namespace=key[0] or None, subresource=subresource)

        try:
            await patiently(write)
        except NotFound:
            log.info("%s %s/%s is gone", kind.plural, *key)

    async def delete(self, kind: Kind, key: Key) -> None:
        """Delete, if it is still there."""
        try:
            await patiently(lambda: self.cluster.delete(kind, key[1], namespace=key[0] or None))
        except NotFound:
            log.info("%s %s/%s is gone already", kind.plural, *key)

    async def event(self, about: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        """An Event on `about`; kind is Normal or Warning."""
        meta = about["metadata"]
        namespace = meta.get("namespace", "default")
        stamp = now()
        await self.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": f"{meta['name']}.", "namespace": namespace},
                "involvedObject": {
                    "apiVersion": about["apiVersion"],
                    "kind": about["kind"],
                    "name": meta["name"],
                    "namespace": namespace,
                    "uid": meta["uid"],
                },
                "type": kind,
                "reason": reason,
                "message": message,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
                "source": {"component": "bascule-lab stand-in"},
            }
        )


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the API server answers: what happened must be told, however long that takes."""
    while True:
        try:
            return await call()
        except Unreachable as error:
            log.warning("%s; again in %g s", error, RETRY_S)
            await asyncio.sleep(RETRY_S)


def condition(kind: str, ok: bool, reason: str, message: str = "") -> Obj:
    """A standard condition."""
    return {
        "type": kind,
        "status": "True" if ok else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now(),
    }


def with_condition(obj: Mapping[str, Any], new: Obj) -> list[Obj]:
    """The object's conditions with `new` in place of the one of its type."""
    old = (obj.get("status") or {}).get("conditions") or []
    return [c for c in old if c["type"] != new["type"]] + [new]
