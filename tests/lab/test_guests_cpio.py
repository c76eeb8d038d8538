"""The initramfs writer against an independent reader (busybox cpio), and the kernel's unpacking against bad input."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_lab.guests import kernel
from bascule_lab.guests.cpio import Archive
from bascule_lab.guests.errors import KernelError


def unpack(archive: bytes, where: Path) -> None:
    subprocess.run(["busybox", "cpio", "-id"], input=archive, cwd=where, check=True, capture_output=True)


@pytest.mark.root
def test_busybox_reads_what_we_write(tmp_path: Path) -> None:
    archive = Archive()
    archive.directory("dev")
    archive.file("init", b"#!/bin/sh\n", 0o755)
    archive.file("odd", b"x" * 4097)
    archive.link("sh", "busybox")
    archive.character_device("dev/ttyS0", 4, 64)
    unpack(archive.finish(), tmp_path)
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "init").stat().st_mode) == 0o755
    assert (tmp_path / "odd").stat().st_size == 4097
    assert (tmp_path / "sh").readlink() == Path("busybox")
    assert (tmp_path / "dev/ttyS0").stat().st_rdev == 4 << 8 | 64


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_every_part_is_aligned_and_repeatable(contents: list[bytes]) -> None:
    def make() -> bytes:
        archive = Archive()
        for number, content in enumerate(contents):
            archive.file(f"f{number}", content)
        return archive.finish()

    data = make()
    assert len(data) % 512 == 0
    assert data == make()
    assert data.count(b"070701") >= len(contents) + 1


@pytest.mark.parametrize("image", [b"", b"\0" * 0x300, b"\0" * 0x202 + b"HdrS" + b"\0" * 0x200])
def test_no_kernel_is_one_clear_error(image: bytes) -> None:
    with pytest.raises(KernelError, match="the guest kernel"):
        kernel.extract_elf(image)


def test_offline_without_a_cache_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = tmp_path / "apt.conf"
    refused.write_text('Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(refused))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(KernelError) as caught:
        kernel.fetch()
    assert "linux-image" in caught.value.message
    assert caught.value.cause
    assert "apt-get update" in caught.value.fix
    assert not list((tmp_path / "cache/bascule/kernel").glob("unpack-*")), "nothing half-made stays"
