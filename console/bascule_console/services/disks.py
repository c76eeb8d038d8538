"""Disks of target VMs: a claim for each, filled through CDI, in two steps: what can be done early, and the bytes.

`prepare` waits for storage, for CDI's upload server and for a token while the source VM still runs; what `upload` does
afterwards is the outage. Everything may be repeated after a crash: `prepare` finds what it made before.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bascule.resources import cdi
from bascule.resources.cdi import Claim, DataVolume, UploadProxy
from bascule_console.services import diskproxy
from bascule_console.services.diskproxy import AnswerLost, Body, DiskError, DiskRefused, DiskUnreachable, Progress
from bascule_kube import Cluster
from bascule_kube.errors import AlreadyExists, NotFound
from bascule_kube.kinds import CDICONFIG, DATAVOLUME, PVC

__all__ = ["DiskError", "DiskRefused", "DiskUnreachable", "Disks", "Progress"]

READY_TIMEOUT_S = 300.0
DONE_TIMEOUT_S = 600.0
LOST_TIMEOUT_S = 120.0
GONE_TIMEOUT_S = 60.0
POLL_S = 0.1
# CDI's tokens are good for 300 s
TOKEN_AGE_S = 240.0


@dataclass(frozen=True)
class _Token:
    text: str = field(repr=False)
    born: float


class Disks:
    """One cluster's disks. `storage_class` "" is the cluster's default."""

    def __init__(self, cluster: Cluster, storage_class: str = "") -> None:
        self._cluster = cluster
        self._storage_class = storage_class
        self._proxy: UploadProxy | None = None
        self._context: ssl.SSLContext | None = None
        self._tokens: dict[tuple[str, str], _Token] = {}

    async def prepare(self, namespace: str, name: str, size_bytes: int) -> str:
        """Make the claim `name` for a disk of `size_bytes` (its virtual size) and everything an upload needs.

        Returns the phase that it found or reached: `UploadReady`, or `Succeeded` for a claim that was filled before.
        Raises DiskRefused (no CDI, a claim of that name that is not Bascule's or too small), DiskError (not ready in
        five minutes, with what CDI says), KubeError.
        """
        proxy = await self._find_proxy()
        await self._trusted(proxy)
        await self._make(namespace, name, size_bytes)
        volume = await self._until(namespace, name, (cdi.READY, cdi.SUCCEEDED), READY_TIMEOUT_S)
        if volume.phase == cdi.READY:
            await self._token(namespace, name)
        return volume.phase

    async def upload(
        self,
        namespace: str,
        name: str,
        chunks: AsyncIterator[bytes],
        length: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Fill a prepared claim with an image (raw, qcow2, vmdk, …) of `length` bytes, None when nobody knows.

        Returns when CDI has converted it and says Succeeded. `progress` is told how many bytes have gone. Raises
        DiskUnreachable, DiskRefused, DiskError, KubeError, and what reading `chunks` raises; the claim can then be
        filled again, from the start.
        """
        proxy = await self._find_proxy()
        token = await self._token(namespace, name)
        context = await self._trusted(proxy)
        del self._tokens[namespace, name]
        body = Body(chunks, length, progress)
        try:
            await diskproxy.post(proxy, token, f"{namespace}/{name}", body, context)
        except AnswerLost as lost:
            if (await self._ended(namespace, name)) != cdi.SUCCEEDED:
                raise DiskError(lost.message, lost.cause, f"{lost.fix}; then upload it again") from lost
        await self.wait(namespace, name)

    async def wait(self, namespace: str, name: str) -> None:
        """Until the claim is filled (phase Succeeded). Raises DiskError."""
        await self._until(namespace, name, (cdi.SUCCEEDED,), DONE_TIMEOUT_S)

    async def size(self, namespace: str, name: str) -> int:
        """Bytes of the filled claim; 0 when there is none or nothing has arrived in it."""
        try:
            volume = DataVolume.of(await self._cluster.get(DATAVOLUME, name, namespace))
            claim = Claim.of(await self._cluster.get(PVC, name, namespace))
        except NotFound:
            return 0
        return claim.capacity or 0 if volume.phase == cdi.SUCCEEDED else 0

    async def delete(self, namespace: str, name: str) -> None:
        """Remove the claim with what is in it; no error when it is gone. Raises DiskError when it stays, as one does
        that a VM uses, and DiskRefused for one that Bascule did not make."""
        self._tokens.pop((namespace, name), None)
        volume = await self._find(namespace, name)
        if volume is not None:
            if not volume.ours:
                raise _foreign(namespace, name)
            with contextlib.suppress(NotFound):
                await self._cluster.delete(DATAVOLUME, name, namespace)
        else:
            await self._refuse_claim(namespace, name)
        await self._until_gone(namespace, name)

    async def _find_proxy(self) -> UploadProxy:
        if self._proxy is None:
            try:
                config = await self._cluster.get(CDICONFIG, "config")
            except NotFound as error:
                raise DiskRefused(
                    f"{self._cluster.context}: the cluster has no CDI, which takes disks into claims",
                    "there is no CDIConfig named config",
                    "install the Containerized Data Importer (kubevirt.io), then resume",
                ) from error
            self._proxy = UploadProxy.of(config)
        if self._proxy is None:
            raise DiskRefused(
                f"{self._cluster.context}: CDI's upload proxy is not exposed",
                "status.uploadProxyURL of CDIConfig config is empty",
                "expose service cdi-uploadproxy (Ingress, Route) or set spec.config.uploadProxyURLOverride of CDI",
            )
        return self._proxy

    async def _trusted(self, proxy: UploadProxy) -> ssl.SSLContext:
        if self._context is None:
            self._context = await asyncio.to_thread(diskproxy.trust, self._cluster.authority(), proxy.authority)
        return self._context

    async def _make(self, namespace: str, name: str, size: int) -> None:
        volume = await self._find(namespace, name)
        if volume is None:
            await self._refuse_claim(namespace, name)
            try:
                await self._cluster.create(cdi.data_volume(namespace, name, size, self._storage_class))
                return
            except AlreadyExists:
                volume = DataVolume.of(await self._cluster.get(DATAVOLUME, name, namespace))
        if not volume.ours or not volume.uploads:
            raise _foreign(namespace, name)
        if volume.meta.deleting:
            raise DiskError(f"the claim {namespace}/{name} is being deleted", fix="try again when it is gone")
        if volume.requested is not None and volume.requested < size:
            cause = f"it was made for {volume.requested} bytes, the disk has {size}"
            fix = f"kubectl delete datavolume -n {namespace} {name}, then resume"
            raise DiskRefused(f"the claim {namespace}/{name} is too small for its disk", cause, fix)

    async def _refuse_claim(self, namespace: str, name: str) -> None:
        """A claim that no DataVolume made belongs to somebody else; CDI would not touch it either."""
        try:
            claim = Claim.of(await self._cluster.get(PVC, name, namespace))
        except NotFound:
            return
        if claim.owner != name:
            raise _foreign(namespace, name)

    async def _token(self, namespace: str, name: str) -> str:
        held = self._tokens.get((namespace, name))
        if held is None or time.monotonic() - held.born > TOKEN_AGE_S:
            try:
                answer = await self._cluster.create(cdi.token_request(namespace, name))
            except NotFound as error:
                cause = "upload.cdi.kubevirt.io/v1beta1 is not served"
                raise DiskRefused("CDI's API gives no upload tokens", cause, "kubectl get apiservice") from error
            token = str((answer.get("status") or {}).get("token") or "")
            if not token:
                raise DiskRefused(f"CDI gave no upload token for {namespace}/{name}", "status.token is empty")
            held = self._tokens[namespace, name] = _Token(token, time.monotonic())
        return held.text

    async def _find(self, namespace: str, name: str) -> DataVolume | None:
        try:
            return DataVolume.of(await self._cluster.get(DATAVOLUME, name, namespace))
        except NotFound:
            return None

    async def _until(self, namespace: str, name: str, phases: tuple[str, ...], seconds: float) -> DataVolume:
        deadline = time.monotonic() + seconds
        while True:
            volume = await self._find(namespace, name)
            if volume is None:
                raise DiskError(f"the claim {namespace}/{name} was deleted meanwhile", fix="prepare it again")
            if volume.phase in phases:
                return volume
            if volume.phase == cdi.FAILED or time.monotonic() > deadline:
                after = "" if volume.phase == cdi.FAILED else f" after {seconds:.0f} s"
                raise DiskError(
                    f"the claim {namespace}/{name} is {volume.phase or 'Pending'}{after}, not {phases[0]}",
                    volume.trouble,
                    f"kubectl describe datavolume -n {namespace} {name}",
                )
            await asyncio.sleep(POLL_S)

    async def _ended(self, namespace: str, name: str) -> str:
        """The phase once CDI is done with what it was sent, however that came to be known."""
        deadline = time.monotonic() + LOST_TIMEOUT_S
        while time.monotonic() < deadline:
            volume = await self._find(namespace, name)
            if volume is None or volume.phase in (cdi.SUCCEEDED, cdi.FAILED):
                return volume.phase if volume else ""
            await asyncio.sleep(POLL_S)
        return ""

    async def _until_gone(self, namespace: str, name: str) -> None:
        deadline = time.monotonic() + GONE_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                await self._cluster.get(PVC, name, namespace)
            except NotFound:
                return
            await asyncio.sleep(POLL_S)
        cause = "a pod still uses it, or its storage does not let it go"
        fix = f"stop the VM that uses it: kubectl describe pvc -n {namespace} {name}"
        raise DiskError(f"the claim {namespace}/{name} is not gone after {GONE_TIMEOUT_S:.0f} s", cause, fix)


def _foreign(namespace: str, name: str) -> DiskRefused:
    return DiskRefused(
        f"there is a claim {namespace}/{name} already, and it is not Bascule's",
        "its disk is not touched",
        "give the VM another target name in the plan, or delete that claim yourself",
    )
