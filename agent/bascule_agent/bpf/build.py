"""Compile a BPF source and pin what it defines: `python -m bascule_agent.bpf.build --source F --pin-dir D`.

A child process, and the only importer of bcc: a compile costs 190 MiB that the agent never has to hold. Every program
(`int f(struct __sk_buff *)`, or `raw_tracepoint__NAME`) and every map is pinned into `tmp-…` beside D, which is then
renamed to D: a reader sees all or nothing. A D that exists is left alone (its name holds the hash of source and
defines, see objects.py).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bascule.errors import BasculeError, UsageError
from bascule_agent.bpf import raw
from bascule_agent.bpf.errors import BpfError
from bascule_agent.bpf.shim import make_shim
from bascule_agent.bpf.source import expand

TRACEPOINT = "raw_tracepoint__"


def _defines(given: list[str]) -> list[str]:
    for define in given:
        if not define.partition("=")[0].isidentifier():
            raise UsageError(f"--define {define}", cause="not NAME=VALUE", fix="--define FLOW_ENTRIES=16384")
    return [f"-D{define}" for define in given]


@contextlib.contextmanager
def _captured_stderr() -> Iterator[Any]:
    # clang writes its diagnostics to file descriptor 2, past sys.stderr.
    saved = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield log
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _declare(lib: Any) -> None:
    # bcc's own Python never lists a module's tables, so it does not declare these; undeclared, pointers are cut.
    module, index = ctypes.c_void_p, ctypes.c_size_t
    lib.bpf_num_tables.argtypes, lib.bpf_num_tables.restype = [module], ctypes.c_size_t
    lib.bpf_table_name.argtypes, lib.bpf_table_name.restype = [module, index], ctypes.c_char_p
    lib.bpf_table_fd_id.argtypes, lib.bpf_table_fd_id.restype = [module, index], ctypes.c_int


def _compile(source: Path, flags: list[str]) -> dict[str, int]:
    """File descriptors of every map and program of `source`, by name."""
    from bcc import BPF
    from bcc.libbcc import lib

    _declare(lib)
    with _captured_stderr() as log:
        try:
            module = BPF(text=expand(source), cflags=flags)
            handle = module.module
            names = [lib.bpf_function_name(handle, i).decode() for i in range(lib.bpf_num_functions(handle))]
            kinds = {name: BPF.RAW_TRACEPOINT if name.startswith(TRACEPOINT) else BPF.SCHED_CLS for name in names}
            found = {name: module.load_func(name, kind).fd for name, kind in kinds.items()}
            for i in range(lib.bpf_num_tables(handle)):
                found[lib.bpf_table_name(handle, i).decode()] = lib.bpf_table_fd_id(handle, i)
            _fill_jumps(found)
        except Exception as error:
            log.seek(0)
            said = log.read().decode(errors="replace").strip() or str(error)
            raise BpfError(f"{source} does not compile or load", cause=said[-4000:]) from None
    _KEEP.append(module)
    return found


def _fill_jumps(found: dict[str, int]) -> None:
    """A program array named `jump_p` holds program p: the way for a program to go on in another."""
    for name, fd in found.items():
        if name.startswith("jump_"):
            raw.update(fd, bytes(4), struct.pack("<I", found[name.removeprefix("jump_")]))


_KEEP: list[Any] = []  # a BPF object closes its descriptors when it is collected


def _remove_leftovers(pin_dir: Path) -> None:
    """Remove the half-made directories of builds of this hash that were killed."""
    for path in pin_dir.parent.glob(f"tmp-{pin_dir.name}-*"):
        if not Path("/proc", path.name.rpartition("-")[2]).exists():
            shutil.rmtree(path, ignore_errors=True)


def build(source: Path, pin_dir: Path, defines: list[str]) -> bool:
    """Compile `source` and pin it as `pin_dir`; False when it was there already. Raises BpfError."""
    flags = _defines(defines)
    if pin_dir.exists():
        return False
    with tempfile.TemporaryDirectory(prefix="bascule-shim-") as shim:
        make_shim(Path(shim))
        os.environ["BCC_KERNEL_SOURCE"] = shim
        objects = _compile(source, flags)
    try:
        pin_dir.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(pin_dir)
        half = pin_dir.with_name(f"tmp-{pin_dir.name}-{os.getpid()}")
        half.mkdir()
        for name, fd in objects.items():
            raw.pin(fd, half / name)
    except OSError as error:
        raise BpfError(f"cannot pin under {pin_dir.parent}", cause=str(error), fix="is it inside a bpffs?") from None
    try:
        half.rename(pin_dir)
    except OSError:
        shutil.rmtree(half)
        if not pin_dir.exists():
            raise
        return False  # ENOTEMPTY: another build of the same hash was first
    return True


def main(argv: list[str] | None = None) -> int:
    """Exit 0 when D exists afterwards, else the error's exit code with one line on stderr."""
    parser = argparse.ArgumentParser(prog="bascule_agent.bpf.build", description="compile and pin a BPF source")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--pin-dir", type=Path, required=True)
    parser.add_argument("--define", action="append", default=[], metavar="K=V")
    options = parser.parse_args(argv)
    try:
        build(options.source, options.pin_dir, options.define)
    except BasculeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
