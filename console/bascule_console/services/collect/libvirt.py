"""A libvirt host, live, through its own library: qemu+ssh, qemu+tls, qemu:///system, test:///node.xml and the others.

The library blocks, prints its errors to stderr and keeps one event loop per process. So each connection works in a
thread of its own, errors are raised and not printed, and one more thread runs the events, which keepalive needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

from bascule.errors import UsageError
from bascule.estate.load import File
from bascule_console.services.collect import volumes
from bascule_console.services.collect.describe import describe
from bascule_console.services.collect.faults import doing, library, opening
from bascule_console.services.collect.hypervisor import (
    ALREADY_OFF,
    GONE,
    OFF,
    ON,
    POWERED_OFF,
    SHUT_DOWN,
    Ask,
    SourceDisk,
    SourceFault,
    SourceUnreachable,
    VmGone,
)
from bascule_console.services.collect.login import CONFIRM, PASSWORD, USER, Login, on_terminal, terminal_as_it_was
from bascule_console.services.collect.worker import Worker

DRIVERS = ("qemu", "xen", "lxc", "bhyve", "ch", "vz", "vbox", "esx", "vpx", "hyperv", "test")
TRANSPORTS = ("", "unix", "ssh", "libssh", "libssh2", "tcp", "tls", "ext")
OPEN_S, ALIVE_S, ALIVE_TIMES, LOOK_S, ASK_AGAIN_S = 30.0, 5, 5, 0.25, 5.0
T = TypeVar("T")


async def open_libvirt(uri: str, *, write: bool, ask: Ask | None) -> LibvirtHypervisor:
    """Open a URI; see `hypervisor.connect`."""
    name = checked(uri)
    libvirt = _ready()
    login, worker = Login(name, ask), Worker(f"libvirt {name}")
    quiet = urlsplit(name).scheme.endswith("+ssh") and ask is not on_terminal  # OpenSSH asks on the terminal by itself
    target = _with(name, "no_tty=1") if quiet else name

    def enter(flags: int) -> Any:
        return libvirt.openAuth(target, [list(_kinds(libvirt)), _answer, login], flags)

    try:
        with terminal_as_it_was():
            connection = await _in_time(
                asyncio.ensure_future(worker.do(enter, 0 if write else libvirt.VIR_CONNECT_RO)), login, name
            )
    except libvirt.libvirtError as error:
        worker.end()
        raise opening(name, error, login) from None
    except BaseException:
        worker.end()
        raise
    login.accepted()
    opened = LibvirtHypervisor(name, connection, worker, None if write else enter)
    await worker.do(opened.keep_alive)
    return opened


def checked(uri: str) -> str:
    """The URI, when it is one of libvirt's and holds no password. Raises UsageError."""
    try:
        parts = urlsplit(uri)
        driver, _, transport = parts.scheme.partition("+")
        secret = parts.password is not None
    except ValueError as error:
        raise UsageError(f"{uri!r} is no URI", str(error), "qemu+ssh://root@host/system") from None
    if secret:
        cause = "whoever lists processes or reads the history sees it"
        raise UsageError("a password stands in the URI", cause, "leave it out: it is asked for, or in the keyring")
    if driver not in DRIVERS or transport not in TRANSPORTS:
        cause = f"{parts.scheme or 'no scheme'} is none of {', '.join(DRIVERS)}, each with +ssh, +tls, …"
        raise UsageError(f"{uri} is no live source", cause, "qemu+ssh://root@host/system; for files, their names")
    if driver == "test" and parts.path not in ("", "/default") and not parts.netloc and not Path(parts.path).is_file():
        raise UsageError(f"{uri} cannot be opened", f"there is no file {parts.path}", "check the name")
    return uri


def _with(uri: str, option: str) -> str:
    parts = urlsplit(uri)
    if option.partition("=")[0] in parse_qs(parts.query):
        return uri
    return urlunsplit(parts._replace(query=f"{parts.query}&{option}" if parts.query else option))


async def _in_time(opened: asyncio.Future[T], login: Login, name: str) -> T:
    """What was opened; the time in which somebody is asked does not count."""
    waited = 0.0
    try:
        while not opened.done():
            await asyncio.wait({opened}, timeout=LOOK_S)
            waited += 0.0 if login.asking else LOOK_S
            if waited > OPEN_S and not opened.done():
                cause = f"no connection within {OPEN_S:.0f} s"
                raise SourceUnreachable(f"{name} does not answer", cause, "check host, network and firewall")
        return opened.result()
    finally:
        opened.cancel()


def _kinds(libvirt: Any) -> dict[int, str]:
    return {
        libvirt.VIR_CRED_AUTHNAME: USER,
        libvirt.VIR_CRED_USERNAME: USER,
        libvirt.VIR_CRED_PASSPHRASE: PASSWORD,
        libvirt.VIR_CRED_NOECHOPROMPT: PASSWORD,
        libvirt.VIR_CRED_ECHOPROMPT: CONFIRM,
    }


def _answer(wanted: list[list[Any]], login: Login) -> int:
    """libvirt's callback: fill in the last of each [kind, prompt, challenge, default, answer]."""
    kinds = _kinds(library())
    for each in wanted:
        each[4] = login.answer(kinds[each[0]], str(each[1]).rstrip(": ")) or each[3]
        if not each[4]:
            return -1
    return 0


@functools.cache
def _ready() -> Any:
    """The library, silent, with its events running; once per process."""
    libvirt = library()
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, name="libvirt events", daemon=True).start()
    return libvirt


class LibvirtHypervisor:
    """One connection; implements hypervisor.Hypervisor."""

    def __init__(self, name: str, connection: Any, worker: Worker, enter: Callable[[int], Any] | None = None) -> None:
        self._name, self._connection, self._worker = name, connection, worker
        self._enter = enter  # opens the same source again, where this connection may only read
        self._libvirt = library()
        self._pools: list[Any] = []
        self._dead = ""
        self._closed = False

    @property
    def name(self) -> str:
        """Its URI."""
        return self._name

    def keep_alive(self) -> None:
        """Notice a connection that dies; drivers without a network have nothing to notice."""
        with contextlib.suppress(self._libvirt.libvirtError):
            self._connection.registerCloseCallback(self._died, None)
        with contextlib.suppress(self._libvirt.libvirtError):
            self._connection.setKeepAlive(ALIVE_S, ALIVE_TIMES)

    def _died(self, _connection: Any, reason: int, _opaque: Any) -> None:
        words = {1: "end of file", 2: "no answer to keepalive", 3: "closed by us"}
        self._dead = words.get(reason, "an error")

    async def files(self) -> list[File]:
        """One document of all domains and networks."""
        return [(self._name, await self._do("list its VMs", self._described))]

    def _described(self) -> bytes:
        """With a second connection while it lasts, when agents have to be asked: libvirt wants the right to write."""
        others: list[Any] = []

        def able() -> Any:
            if self._enter is None:
                return self._connection
            if not others:
                try:
                    others.append(self._enter(0))
                except self._libvirt.libvirtError:
                    others.append(None)
            return others[0]

        try:
            return describe(self._connection, self._name, able)
        finally:
            for each in others:
                if each is not None:
                    each.close()

    async def power(self, uuid: str) -> str:
        """ON, OFF or GONE."""
        try:
            state = await self._do("tell a VM's power", lambda: self._domain(uuid).state()[0])
        except VmGone:
            return GONE
        return OFF if state in self._off else ON

    async def shut_down(self, uuid: str, seconds: float) -> str:
        """ACPI, and after `seconds` no power."""
        if await self._power_of(uuid) == OFF:
            return ALREADY_OFF
        if not await self._do("look at a VM", lambda: self._domain(uuid).isPersistent()):
            cause = "it would be gone with its power, and no rollback could start it"
            raise SourceFault(
                f"VM {uuid} on {self._name} is transient", cause, "define it first: virsh dumpxml, define"
            )
        if seconds > 0:
            with contextlib.suppress(SourceFault):  # a guest that cannot be asked loses its power at once
                if await self._is_off_within(uuid, seconds):
                    return SHUT_DOWN
        try:
            await self._do("power a VM off", lambda: self._domain(uuid).destroy())
        except VmGone:
            raise
        except SourceFault:
            if await self._power_of(uuid) != OFF:
                raise
            return SHUT_DOWN  # it went off between the last look and the order
        return POWERED_OFF

    async def _is_off_within(self, uuid: str, seconds: float) -> bool:
        """Ask until it is off; again now and then, because a guest that still boots does not hear it."""
        until = time.monotonic() + seconds
        await self._ask_off(uuid)
        again = time.monotonic() + ASK_AGAIN_S
        while await self._power_of(uuid) != OFF:
            left = until - time.monotonic()
            if left <= 0:
                return False
            if time.monotonic() >= again:
                again = time.monotonic() + ASK_AGAIN_S
                with contextlib.suppress(SourceFault):  # it took the first one; this one may come too late
                    await self._ask_off(uuid)
            await asyncio.sleep(min(LOOK_S, left))
        return True

    async def _ask_off(self, uuid: str) -> None:
        await self._do("shut a VM down", lambda: self._domain(uuid).shutdown())

    async def _power_of(self, uuid: str) -> str:
        """As `power`. Raises VmGone."""
        state = await self._do("tell a VM's power", lambda: self._domain(uuid).state()[0])
        return OFF if state in self._off else ON

    async def start(self, uuid: str) -> None:
        """Start, or resume one that is paused."""

        def begin() -> None:
            domain = self._domain(uuid)
            state = domain.state()[0]
            if state in self._off:
                domain.create()
            elif state == self._libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()

        await self._do("start a VM", begin)

    async def autostart(self, uuid: str, on: bool | None = None) -> bool:
        """Its autostart, as it is or from now on."""

        def settle() -> bool:
            domain = self._domain(uuid)
            try:
                now = bool(domain.autostart())
            except self._libvirt.libvirtError as error:
                if error.get_error_code() != self._libvirt.VIR_ERR_NO_SUPPORT:
                    raise
                return False  # a driver that has no such thing
            if on is None or on == now:
                return now
            domain.setAutostart(int(on))
            return on

        return await self._do("settle a VM's autostart", settle)

    async def disks(self, uuid: str) -> list[SourceDisk]:
        """Its disks."""
        return await self._do("tell a VM's disks", lambda: volumes.disks(self._connection, self._domain(uuid)))

    async def read(self, uuid: str, disk: SourceDisk) -> AsyncGenerator[bytes, None]:
        """The stored bytes of a disk."""
        what = f"read {disk.path}"
        if await self._power_of(uuid) != OFF:
            raise SourceFault(f"{self._name} could not {what}", "the VM runs, and writes to it", "shut it down first")
        download = await self._do(what, self._download, uuid, disk)
        try:
            if download.expected != disk.stored:
                cause = f"it has {download.expected} bytes, not {disk.stored}"
                raise SourceFault(f"{self._name}: {disk.path} changed since it was looked at", cause, "look again")
            got = 0
            while piece := await self._do(what, download.piece):
                got += len(piece)
                yield piece
            if got != disk.stored:
                raise SourceFault(f"{self._name} could not {what}", f"it ended after {got} of {disk.stored} bytes")
        finally:
            with contextlib.suppress(SourceFault, SourceUnreachable):
                await self._do(what, download.end)

    def _download(self, uuid: str, disk: SourceDisk) -> volumes.Download:
        volume = volumes.volume_of(self._connection, disk.path, self._pools)
        volumes.refuse_layer(self._domain(uuid).name(), disk.name, volumes.below(volume))
        return volumes.Download(self._connection, volume)

    async def close(self) -> None:
        """End it; pools that were made for reading are taken away."""
        if self._closed:
            return
        self._closed = True

        def leave() -> None:
            with contextlib.suppress(self._libvirt.libvirtError):
                for pool in self._pools:
                    pool.destroy()
            with contextlib.suppress(self._libvirt.libvirtError):
                self._connection.unregisterCloseCallback()
            with contextlib.suppress(self._libvirt.libvirtError):
                self._connection.close()

        await self._worker.do(leave)
        self._worker.end()

    @property
    def _off(self) -> tuple[int, int]:
        return self._libvirt.VIR_DOMAIN_SHUTOFF, self._libvirt.VIR_DOMAIN_CRASHED

    def _domain(self, uuid: str) -> Any:
        return self._connection.lookupByUUIDString(uuid)

    async def _do(self, what: str, call: Callable[..., T], *args: Any) -> T:
        """A call in the connection's thread, its errors as ours."""
        if self._closed:
            raise SourceUnreachable(f"{self._name} was closed", f"asked to {what}")
        try:
            return await self._worker.do(call, *args)
        except self._libvirt.libvirtError as error:
            raise doing(self._name, what, error, self._dead) from None
