"""The guest template: one guest booted once, its state in a file, its memory in another that clones map copy on write.

A cold boot costs two emulated CPU seconds, a clone 0.3. The saved state is valid only for the same QEMU, machine,
kernel, initramfs and CPU, so all of these are in the key of the cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bascule_lab.config import cache_dir
from bascule_lab.guests import initramfs, kernel, qemu, tap
from bascule_lab.guests.errors import TemplateError
from bascule_lab.guests.kernel import GuestKernel
from bascule_lab.guests.qmp import Qmp
from bascule_lab.guests.serial import SerialClient

BOOT_TIMEOUT_S = 120.0
SAVE_TIMEOUT_S = 60.0
# the guest says TEMPLATE just before it blocks in read(); the clones should start from the blocked state
SETTLE_S = 0.2
MAX_BANDWIDTH = 10**10


@dataclass(frozen=True)
class Template:
    """What a clone needs: the files its QEMU maps and the state it restores."""

    vmlinux: Path
    initramfs: Path
    memory: Path
    state: Path


async def ensure() -> Template:
    """The template for this machine, from the cache (milliseconds) or booted and saved now (about 3 s).

    Safe beside another process doing the same. Raises KernelError, GuestError or TemplateError.
    """
    source = await asyncio.to_thread(kernel.fetch)
    image = await asyncio.to_thread(initramfs.build, source)
    place = cache_dir() / "template" / cache_key(source, image, qemu.version())
    template = Template(source.vmlinux, place / "initramfs", place / "memory", place / "state")
    if not template.state.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            await asyncio.to_thread(held.enter_context, kernel.locked(place.parent / "lock"))
            if not template.state.exists():
                await _make(template, image)
    return template


def cache_key(source: GuestKernel, image: bytes, qemu_version: str) -> str:
    """32 hex digits over everything that a saved state depends on."""
    nowhere = Path("x")
    machine = qemu.Machine(nowhere, nowhere, nowhere, 0, qemu.TEMPLATE_MAC, memory=nowhere)
    cpus = Path("/proc/cpuinfo").read_text()
    model = next((line for line in cpus.splitlines() if line.startswith("model name")), "")
    parts = [qemu_version, *qemu.command(machine), source.version, str(source.vmlinux.stat().st_size), model]
    return hashlib.sha256("\0".join(parts).encode() + image).hexdigest()[:32]


async def _make(template: Template, image: bytes) -> None:
    """Boot and save in a scratch directory, then move it into place: a half-made template is never seen."""
    place = template.state.parent
    shutil.rmtree(place, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="make-") as name:
        scratch = Path(name)
        (scratch / "initramfs").write_bytes(image)
        machine = qemu.Machine(
            vmlinux=template.vmlinux,
            initramfs=scratch / "initramfs",
            sockets=scratch / "qemu",
            tap_fd=await asyncio.to_thread(tap.open_template_tap),
            mac=qemu.TEMPLATE_MAC,
            memory=scratch / "memory",
            memory_shared=True,
        )
        await _boot_and_save(machine, scratch / "state")
        ready = scratch / "ready"
        ready.mkdir()
        for part in ("initramfs", "memory", "state"):
            (scratch / part).rename(ready / part)
        ready.rename(place)


async def _boot_and_save(machine: qemu.Machine, state: Path) -> None:
    process = await asyncio.to_thread(qemu.spawn, machine, None)
    qmp = Qmp(machine.qmp)
    try:
        async with SerialClient(machine.serial) as port:
            await port.wait_template(BOOT_TIMEOUT_S)
        await asyncio.sleep(SETTLE_S)
        await qmp.connect(lambda: process.poll() is None)
        await qmp.capabilities(events=True, x_ignore_shared=True)
        await qmp.execute("migrate-set-parameters", max_bandwidth=MAX_BANDWIDTH)
        await qmp.execute("migrate", uri=f"exec:cat > {state}")
        await _saved(qmp)
    except Exception as error:
        printed = machine.log.read_text(errors="replace").strip() if machine.log.exists() else ""
        raise TemplateError("the guest template was not made", f"{error}; QEMU said: {printed or 'nothing'}") from error
    finally:
        await qmp.close()
        process.kill()
        await asyncio.to_thread(process.wait)


async def _saved(qmp: Qmp) -> None:
    deadline = time.monotonic() + SAVE_TIMEOUT_S
    while time.monotonic() < deadline:
        states = {event.status for event in qmp.events if event.name == "MIGRATION"}
        if "completed" in states:
            return
        if "failed" in states:
            break
        await qmp.wait_news(0.5)
    raise TemplateError(
        "the guest template's state was not saved", f"migration events: {[e.status for e in qmp.events]}"
    )
