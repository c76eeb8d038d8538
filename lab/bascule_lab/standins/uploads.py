"""The stand-in for CDI's upload proxy and upload server: TLS, a token, the bytes of one disk, an answer.

Statuses and texts are those of pkg/uploadproxy and pkg/uploadserver of kubevirt/containerized-data-importer; there the
proxy hands the body to a pod of the claim's own, here it takes it itself. An upload that fails leaves nothing behind
and the claim as it was, UploadReady: it can be sent again, with a new token.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import socket
import ssl
import time
from pathlib import Path

from aiohttp import web

from bascule_kube.kinds import PVC
from bascule_lab.apiserver.state import ApiPaths
from bascule_lab.apiserver.uploadtokens import Leave, UploadTokens
from bascule_lab.faults import orders
from bascule_lab.standins import claims, images
from bascule_lab.standins.cdi import Cdi
from bascule_lab.standins.volumes import Volumes
from bascule_lab.standins.world import Obj, World

log = logging.getLogger(__name__)
PATHS = ("/v1beta1/upload",)
READY_TIMEOUT_S = 10.0
POLL_S = 0.05
_BEARER = re.compile(r"Bearer\s+([A-Za-z0-9\-._~+/]+)", re.IGNORECASE)
# what every write to it answers is ENOSPC, from the kernel itself
_FULL = Path("/dev/full")


class UploadProxy:
    """Serves uploads on loopback; `start`, then `stop`."""

    def __init__(self, world: World, cdi: Cdi, volumes: Volumes, state: Path) -> None:
        self._world = world
        self._cdi = cdi
        self._volumes = volumes
        self._state = state
        self._spent: set[str] = set()
        self._uploading: set[str] = set()
        self._writing: set[asyncio.Task[web.Response]] = set()
        self._runner: web.ServerRunner | None = None

    async def start(self) -> str:
        """Begin to serve; returns the URL. The certificate is the API server's, from the lab's CA."""
        paths = ApiPaths(self._state)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths.server_cert, paths.server_key)
        self._tokens = UploadTokens(paths.account_key.read_bytes())
        listener = socket.create_server(("127.0.0.1", 0))
        self._runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True), shutdown_timeout=1)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, ssl_context=context).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    async def stop(self) -> None:
        """End what is on its way and close the socket."""
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.gather(*self._writing)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/healthz":
            return web.Response(text="OK")
        if request.path not in PATHS or request.method != "POST":
            return web.Response(status=404)
        found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            return web.Response(status=400)
        leave = self._tokens.leave(found[1])
        if leave is None or leave.number in self._spent:
            return web.Response(status=401)
        self._spent.add(leave.number)
        claim = await self._ready(leave)
        if isinstance(claim, str):
            return web.Response(status=503, text=claim)
        return await self._take(request, claim)

    async def _ready(self, leave: Leave) -> Obj | str:
        """The claim once it waits for an upload, or why it does not."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            claim = self._world.get(PVC, (leave.namespace, leave.claim))
            if claim is None or claim["metadata"].get("deletionTimestamp"):
                return f"rejecting Upload Request for PVC {leave.claim} that doesn't exist"
            if claims.is_done(claim):
                return f"rejecting Upload Request for PVC {leave.claim} that already finished uploading"
            if claims.annotation(claim, claims.POD_READY) == "true":
                return claim
            if time.monotonic() > deadline:
                return "timed out waiting for the condition"
            await asyncio.sleep(POLL_S)

    async def _take(self, request: web.BaseRequest, claim: Obj) -> web.Response:
        uid = claim["metadata"]["uid"]
        if uid in self._uploading:
            return web.Response(status=503)
        self._uploading.add(uid)
        image = self._volumes.scratch(claim, "scratch")
        try:
            await self._receive(request, image)
        except BaseException as error:
            self._end(claim)
            if isinstance(error, OSError):
                return _failed(error)
            raise
        # what has been received whole is written whole, whether or not its sender waits for it
        writing = asyncio.create_task(self._write(claim, image))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        return await asyncio.shield(writing)

    async def _write(self, claim: Obj, image: Path) -> web.Response:
        room = claims.wanted_size(claim["spec"]) or 0
        try:
            part = self._volumes.scratch(claim, "part")
            await asyncio.to_thread(images.fill, image, part, self._volumes.disk(claim), room)
            await self._cdi.arrived(claim)
        except (images.ImageError, OSError) as error:
            return _failed(error)
        finally:
            self._end(claim)
        return web.Response()

    async def _receive(self, request: web.BaseRequest, image: Path) -> None:
        """The body into a file. A body that was cut off ends in an error, not in a shorter image."""
        target = _FULL if orders.disk_is_full(self._state) else image
        with target.open("wb", buffering=0) as stream:
            async for chunk in request.content.iter_any():
                _write_all(stream.fileno(), chunk)  # a tmpfs: a thread for each chunk would cost more than the copy

    def _end(self, claim: Obj) -> None:
        """Nothing stays of an upload that failed, nor of one whose claim was deleted under it."""
        self._uploading.discard(claim["metadata"]["uid"])
        for what in ("scratch", "part"):
            self._volumes.scratch(claim, what).unlink(missing_ok=True)
        now = self._world.get(PVC, (claim["metadata"]["namespace"], claim["metadata"]["name"]))
        if now is None or now["metadata"]["uid"] != claim["metadata"]["uid"]:
            self._volumes.drop(claim)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _failed(error: images.ImageError | OSError) -> web.Response:
    """CDI's handleStreamError: 400 when there is no room, else 500."""
    if isinstance(error, OSError):
        full, why = error.errno in (errno.ENOSPC, errno.EDQUOT), f"unable to write to file: {error.strerror}".lower()
    else:
        full, why = isinstance(error, images.TooBig), error.message
    if full:
        why = f"effective image size is larger than the reported available storage: {why}"
    log.warning("an upload failed: %s", why)
    return web.Response(status=400 if full else 500, text=f"Saving stream failed: {why}")
