"""What a lab leaves on its machine: note it before, compare after, and remove all of a lab, also after a crash.

Everything of a lab hangs on four things, each found without any memory of the process that made it: network
namespaces by prefix, processes by their arguments (processes.py), the bpffs, files under the state directory. Only
/run/netns itself is remembered (`prepare`): the first namespace on a machine makes it a mount point.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bascule.errors import RefusedError
from bascule_agent.bpf import raw
from bascule_agent.bpf.objects import mount_bpffs, unmount_bpffs
from bascule_agent.netlink import delete_netns, list_netns
from bascule_lab import processes
from bascule_lab.config import LabConfig
from bascule_lab.nodes import netns

NETNS_DIRECTORY = Path("/run/netns")
# what `lab up` puts into the state directory before the supervisor calls `prepare`
BEFORE_PREPARE = ("logs", "lab.json", "lab.json.new")
# destroying namespaces, and with them programs and maps, happens after their deletion (measured 0.5 s)
SETTLE_TIMEOUT_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Snapshot:
    """What can be left behind: links of this namespace, namespaces, mounts, BPF ids, processes of the lab."""

    links: tuple[str, ...]
    namespaces: tuple[str, ...]
    mounts: tuple[str, ...]
    programs: tuple[int, ...]
    maps: tuple[int, ...]
    processes: tuple[str, ...]


def snapshot(config: LabConfig) -> Snapshot:
    """The machine now. Needs root."""
    shown = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout
    links = [json.dumps({key: link.get(key) for key in ("ifname", "address", "mtu")}) for link in json.loads(shown)]
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    running = [f"{pid} {_command(pid)}" for pid in processes.of_lab(config)]
    return Snapshot(
        links=tuple(sorted(links)),
        namespaces=tuple(list_netns()),
        mounts=tuple(sorted(mounts)),
        programs=tuple(sorted(raw.ids("prog"))),
        maps=tuple(sorted(raw.ids("map"))),
        processes=tuple(sorted(running)),
    )


def diff(before: Snapshot, after: Snapshot) -> list[str]:
    """One line for each thing that came or went; [] when the machine is as it was."""
    told = []
    old, new = asdict(before), asdict(after)
    for kind, was in old.items():
        told += [f"{kind}: new {item}" for item in sorted(set(new[kind]) - set(was))]
        told += [f"{kind}: gone {item}" for item in sorted(set(was) - set(new[kind]))]
    return told


def settled(before: Snapshot, config: LabConfig, timeout: float = SETTLE_TIMEOUT_S) -> list[str]:
    """`diff` with the machine now, polled until it is empty or `timeout` seconds passed."""
    deadline = time.monotonic() + timeout
    while (told := diff(before, snapshot(config))) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return told


def prepare(config: LabConfig) -> None:
    """Make the state directory (0700) and its bpffs; call it before the first namespace.

    Raises RefusedError when the directory holds something that is not a lab's: `cleanup` removes it whole. Also
    BpfError, OSError.
    """
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = _netns_note(config)
    if not note.exists():
        foreign = sorted({entry.name for entry in config.state.iterdir()} - set(BEFORE_PREPARE))
        if foreign:
            raise RefusedError(
                f"{config.state} is not a lab's directory", f"it holds {', '.join(foreign[:5])}", "name an empty one"
            )
        note.write_text(json.dumps({"existed": NETNS_DIRECTORY.exists(), "mount": os.path.ismount(NETNS_DIRECTORY)}))
    config.guests.mkdir(exist_ok=True)
    mount_bpffs(config.bpffs)


def cleanup(config: LabConfig) -> list[str]:
    """Remove everything of a lab, whoever built it; returns what could not be removed. Blocking, seconds at most.

    Processes first (agents, guests, supervisor: SIGTERM, then SIGKILL), then namespaces, then the bpffs, then the
    state directory. A process that is not the lab's and sits in one of its namespaces is reported, not ended.
    """
    processes.end_lab(config)
    left = [f"process {pid} is still in a namespace: {_command(pid)}" for pid in _staying(config)]
    for name in list_netns(f"{config.prefix}-"):
        netns.close(name)
        delete_netns(name)
    _drop_pins(config.bpffs)
    unmount_bpffs(config.bpffs)
    _restore_netns_directory(config)
    if config.bpffs.exists():
        left.append(f"{config.bpffs} is still mounted")
    else:
        _remove_state(config)
    return left + [f"namespace {name}" for name in list_netns(f"{config.prefix}-")]


def _netns_note(config: LabConfig) -> Path:
    return config.state / "netns-before.json"


def _restore_netns_directory(config: LabConfig) -> None:
    """Undo the mount that the first namespace made, unless someone else has namespaces there by now."""
    try:
        before = json.loads(_netns_note(config).read_text())
    except (OSError, ValueError):
        return
    if not NETNS_DIRECTORY.is_dir() or any(NETNS_DIRECTORY.iterdir()):
        return
    if not before["mount"]:
        while os.path.ismount(NETNS_DIRECTORY) and not subprocess.run(["umount", str(NETNS_DIRECTORY)]).returncode:
            continue
    if not before["existed"]:
        with contextlib.suppress(OSError):
            NETNS_DIRECTORY.rmdir()


def _remove_state(config: LabConfig) -> None:
    """The whole directory when a lab made it its own (`prepare`), else only what comes before that."""
    if _netns_note(config).exists():
        shutil.rmtree(config.state, ignore_errors=True)
        return
    for name in BEFORE_PREPARE:
        path = config.state / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        config.state.rmdir()


def _drop_pins(bpffs: Path) -> None:
    """Unlink what is pinned: an unmount alone is delayed by anyone who still looks at the mount."""
    if bpffs.is_dir():
        for entry in bpffs.iterdir():
            shutil.rmtree(entry, ignore_errors=True)


def _staying(config: LabConfig) -> list[int]:
    """Processes that stay in a namespace of the lab; those that only are dying get `SETTLE_TIMEOUT_S` for it.

    A killed process gives up its memory, and with it its arguments, some time before its namespaces: in between
    `processes.end_lab` cannot know it any more. A guest with 128 MiB on a busy machine takes over 0.5 s.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while any(not processes.arguments(pid) for pid in _inside(config)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return sorted(_inside(config))


def _inside(config: LabConfig) -> set[int]:
    """Processes in one of the lab's namespaces, ours left out."""
    homes = set()
    for name in list_netns(f"{config.prefix}-"):
        with contextlib.suppress(OSError):
            homes.add((NETNS_DIRECTORY / name).stat().st_ino)
    found = set()
    for pid in processes.all_pids():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/net").st_ino in homes and pid != os.getpid():
                found.add(pid)
    return found


def _command(pid: int) -> str:
    return " ".join(processes.arguments(pid))[:120]
