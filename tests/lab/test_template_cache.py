"""The template's cache: hit in no time, missed when anything that the saved state depends on changes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bascule_lab.guests import kernel, qemu, template
from bascule_lab.guests.kernel import GuestKernel


def a_kernel(tmp_path: Path, version: str = "6.1.0-1") -> GuestKernel:
    elf = tmp_path / "vmlinux"
    elf.write_bytes(b"\x7fELF")
    return GuestKernel(version, elf, ())


def test_the_key_covers_what_the_state_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_kernel(tmp_path)
    first = template.cache_key(source, b"initramfs", "QEMU 7.2")
    assert template.cache_key(source, b"initramfs", "QEMU 7.2") == first
    others = {
        template.cache_key(source, b"initramfs!", "QEMU 7.2"),
        template.cache_key(source, b"initramfs", "QEMU 10.0"),
        template.cache_key(a_kernel(tmp_path, "6.1.0-2"), b"initramfs", "QEMU 7.2"),
    }
    monkeypatch.setattr(qemu, "MEMORY_MIB", 128)
    others.add(template.cache_key(source, b"initramfs", "QEMU 7.2"))
    assert len(others | {first}) == 5


def test_one_machine_for_template_clone_and_target(tmp_path: Path) -> None:
    """They differ in memory backend, MAC, descriptors, sockets and -incoming, in nothing else."""

    def shape(memory: Path | None, shared: bool, incoming: bool) -> list[str]:
        line = qemu.command(
            qemu.Machine(tmp_path, tmp_path, tmp_path / "q", 5, "52:54:00:00:00:01", memory, shared, incoming)
        )
        return [word for word in line if "memory-backend-" not in word and word not in ("-incoming", "defer")]

    assert shape(tmp_path / "m", True, False) == shape(tmp_path / "m", False, True) == shape(None, False, True)
    nic = next(word for word in shape(None, False, True) if word.startswith("virtio-net-pci"))
    assert nic.count("=off") == len(qemu.OFFLOADS) == 11


@pytest.mark.root
@pytest.mark.qemu
async def test_a_second_time_is_quick() -> None:
    await template.ensure()
    started = time.monotonic()
    kernel.fetch()
    assert time.monotonic() - started < 0.1
    found = await template.ensure()
    assert found.state.exists() and found.memory.stat().st_size == qemu.MEMORY_MIB << 20
    assert not list(found.state.parent.parent.glob("make-*"))
