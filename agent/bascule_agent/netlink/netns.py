"""Network namespaces by name or path, and running code inside one.

setns moves a thread, not a process: code that must run in a namespace gets a thread of its own there (`in_netns` for
one call, `NetnsThread` for many). A `subprocess.Popen` made in such a thread starts its child in that namespace, which
is 10 ms cheaper than nsenter and keeps the mount namespace (and so the bpffs) of the caller.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bascule_agent.netlink.types import NetlinkError

T = TypeVar("T")

RUN_DIR = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise NetlinkError(f"{what}: {os.strerror(code)}", fix="network namespaces need root", code=code)


def netns_path(netns: str | Path) -> Path:
    """The file that holds a namespace: `web` is /run/netns/web, anything with a slash is taken as it is."""
    return Path(netns) if "/" in str(netns) else RUN_DIR / netns


def _enter(netns: str | Path | None) -> None:
    if netns is None:
        return
    path = netns_path(netns)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetlinkError(f"no network namespace {netns}", cause=str(error), code=error.errno or 0) from None
    try:
        _call(f"enter network namespace {netns}", _libc.setns(fd, _CLONE_NEWNET))
    finally:
        os.close(fd)


class NetnsThread:
    """One thread that lives in a namespace (None: the caller's) and runs calls there, one at a time, in order."""

    def __init__(self, netns: str | Path | None) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"netns-{netns or 'own'}")
        try:
            self._pool.submit(_enter, netns).result()
        except BaseException:
            self._pool.shutdown()
            raise

    def run(self, fn: Callable[[], T]) -> T:
        """Run `fn` in the namespace, wait, and return what it returns or raise what it raises."""
        return self._pool.submit(fn).result()

    def close(self) -> None:
        """End the thread; waits for a call that still runs."""
        self._pool.shutdown()


def in_netns(netns: str | Path | None, fn: Callable[[], T]) -> T:
    """Run `fn` in namespace `netns` (name or path) in a thread of its own; sockets and children made there stay there.

    Raises NetlinkError when the namespace does not exist, else whatever `fn` raises.
    """
    thread = NetnsThread(netns)
    try:
        return thread.run(fn)
    finally:
        thread.close()


def _share_run_dir() -> None:
    # As ip-netns(8) does it: a shared mount, so that deleting a namespace also unmounts it in other mount namespaces.
    RUN_DIR.mkdir(mode=0o755, exist_ok=True)
    directory = os.fsencode(RUN_DIR)
    if _libc.mount(b"", directory, b"none", _MS_SHARED | _MS_REC, None) != 0:
        _call(f"bind {RUN_DIR}", _libc.mount(directory, directory, b"none", _MS_BIND | _MS_REC, None))
        _call(f"share {RUN_DIR}", _libc.mount(b"", directory, b"none", _MS_SHARED | _MS_REC, None))


def create_netns(name: str) -> Path:
    """Create a named namespace that `ip netns` sees too; returns its path. Raises NetlinkError if it exists."""
    path = netns_path(name)
    _share_run_dir()
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    except FileExistsError:
        raise NetlinkError(f"network namespace {name} exists", fix=f"ip netns delete {name}", code=17) from None

    def bind_new() -> None:
        _call("create a network namespace", _libc.unshare(_CLONE_NEWNET))
        _call(f"bind {path}", _libc.mount(b"/proc/thread-self/ns/net", os.fsencode(path), b"none", _MS_BIND, None))

    try:
        in_netns(None, bind_new)
    except BaseException:
        path.unlink()
        raise
    return path


def delete_netns(name: str) -> bool:
    """Remove a named namespace; its links go when its last user does. False when there was none."""
    path = netns_path(name)
    _libc.umount2(os.fsencode(path), _MNT_DETACH)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def list_netns(prefix: str = "") -> list[str]:
    """Names of the namespaces under /run/netns that start with `prefix`, sorted."""
    if not RUN_DIR.is_dir():
        return []
    return sorted(entry.name for entry in RUN_DIR.iterdir() if entry.name.startswith(prefix))


def sysctl(netns: str | Path | None, settings: dict[str, int | str]) -> None:
    """Write /proc/sys values (`net/ipv4/ip_forward`) inside a namespace. Raises NetlinkError naming the key."""

    def write() -> None:
        for key, value in settings.items():
            try:
                Path("/proc/sys", key).write_text(str(value))
            except OSError as error:
                raise NetlinkError(f"sysctl {key}={value}", cause=str(error), code=error.errno or 0) from None

    in_netns(netns, write)


def quiet_sysctls(netns: str | Path | None) -> None:
    """No IPv6 and no netfilter on bridges: a new namespace starts with both on, whatever the root's values are."""
    settings: dict[str, int | str] = {f"net/ipv6/conf/{scope}/disable_ipv6": 1 for scope in ("all", "default")}
    settings |= {f"net/bridge/bridge-nf-call-{table}": 0 for table in ("iptables", "ip6tables", "arptables")}
    sysctl(netns, {key: value for key, value in settings.items() if Path("/proc/sys", key).exists()})
