"""The lab's API and all its stand-ins in this process, without nodes or guests: CDI, and KubeVirt up to the Pod."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bascule_kube import Cluster
from bascule_kube.errors import NotFound
from bascule_kube.kinds import CDICONFIG, DATAVOLUME, PVC, Kind
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, prepare
from bascule_lab.config import LabConfig
from bascule_lab.guests.guest import Guest
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.standins.manager import Manager

MIB = 1 << 20


@dataclass
class Storage:
    """A cluster with CDI's stand-in; `state` is the lab's directory, `ca` its CA (PEM)."""

    cluster: Cluster
    state: Path
    ca: str
    kubeconfig: Path

    @property
    def files(self) -> dict[str, int]:
        """What lies on the storage: the ends of the files' names (img, scratch, …) with their sizes."""
        return {path.name: path.stat().st_size for path in (self.state / "volumes").glob("*")}

    async def disk(self, name: str) -> Path:
        """The file of a claim."""
        claim = await self.cluster.get(PVC, name, "vms")
        return self.state / "volumes" / f"{claim['metadata']['uid']}.img"

    async def make(self, name: str, size: int = 4 * MIB, **storage: Any) -> None:
        """A DataVolume for an upload, ready for it."""
        wanted = {"resources": {"requests": {"storage": str(size)}}, **storage}
        spec = {"source": {"upload": {}}, "storage": wanted}
        await self.cluster.create(DATAVOLUME.of(name, "vms") | {"spec": spec})
        await self.phase(name, "UploadReady")

    async def phase(self, name: str, wanted: str) -> dict[str, Any]:
        """Wait for a DataVolume's phase; returns it."""
        return await self.until(DATAVOLUME, name, lambda volume: (volume.get("status") or {}).get("phase") == wanted)

    async def until(self, kind: Kind, name: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until an object is as wanted; returns it."""
        deadline = time.monotonic() + 20
        while True:
            try:
                found = await self.cluster.get(kind, name, "vms")
            except NotFound:
                found = {}
            if found and fits(found):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)

    async def gone(self, kind: Kind, name: str) -> None:
        """Wait until an object is not there."""
        deadline = time.monotonic() + 20
        while True:
            try:
                await self.cluster.get(kind, name, "vms")
            except NotFound:
                return
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    async def token(self, claim: str) -> str:
        """An upload token, as `kubectl create` of an UploadTokenRequest gives it."""
        body = {"apiVersion": "upload.cdi.kubevirt.io/v1beta1", "kind": "UploadTokenRequest"}
        answer = await self.cluster.create(
            {**body, "metadata": {"name": "t", "namespace": "vms"}, "spec": {"pvcName": claim}}
        )
        return str(answer["status"]["token"])

    async def url(self) -> str:
        """The upload proxy's."""
        return str((await self.cluster.get(CDICONFIG, "config"))["status"]["uploadProxyURL"])

    async def post(self, token: str, body: Any, **headers: str) -> tuple[int, str]:
        """Upload as curl does in CDI's doc/upload.md: (status, text)."""
        context = ssl.create_default_context(cadata=self.ca)
        given = {"Authorization": f"Bearer {token}", **headers} if token else headers
        where = await self.url() + "/v1beta1/upload"
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with (
            aiohttp.ClientSession() as session,
            session.post(where, data=data, headers=given, ssl=context) as answer,
        ):
            return answer.status, await answer.text()


def _no_guest(_spec: GuestSpec, _port: PodPort) -> Guest:
    raise AssertionError("nothing is started here")


@asynccontextmanager
async def storage_in(state: Path) -> AsyncIterator[Storage]:
    """Serve a cluster with namespace vms from `state`."""
    credentials = prepare(state, [])
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = ApiServer(state)
        stack.push_async_callback(server.stop)
        await server.start([listener])
        path = state / "kubeconfig"
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        write_kubeconfig(path, url, credentials.ca_pem, {"lab-admin": credentials.tokens["admin"]}, "lab-admin")
        cluster = await stack.enter_async_context(await Cluster.open(path))
        for name in ("default", "vms"):
            await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        manager = Manager(cluster, LabConfig(prefix="none", state=state), _no_guest)
        stack.push_async_callback(manager.stop)
        await manager.start()
        yield Storage(cluster, state, credentials.ca_pem, path)
