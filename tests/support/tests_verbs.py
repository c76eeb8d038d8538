"""Verbs in processes of their own, forked from one that has loaded what verbs load: that saves a second for each.

A verb still has its own process, arguments, environment, streams and exit code. That `bascule` itself starts, and what
it loads, is tested with the real command (test_cli_main, test_hygiene_imports).
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

LOADED = ("bascule_console.services", "bascule_console.cli")
LEFT_OUT = ("libvirt", "tui", "demo", "wizard")


async def verb(*arguments: str) -> tuple[int, str, str]:
    """Run `bascule` with these arguments in this environment and folder: (exit code, stdout, stderr)."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        wanted = {"argv": arguments, "env": dict(os.environ), "cwd": os.getcwd(), "out": str(out), "err": str(err)}
        reader, writer = await asyncio.open_unix_connection(_started())
        try:
            writer.write(json.dumps(wanted).encode() + b"\n")
            await writer.drain()
            code = await reader.read()
        finally:
            writer.close()
        streams = out.read_text(), err.read_text()
    assert code, f"bascule {arguments} ended without an exit code: {streams[1]}"
    return int(code), *streams


@cache
def _started() -> str:
    """The socket of the process that verbs are forked from; it ends with this one."""
    folder = tempfile.TemporaryDirectory(prefix="verbs-")
    path = f"{folder.name}/socket"
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(64)
    ending, ended = os.pipe()
    command = [sys.executable, __file__, str(server.fileno()), str(ending)]
    process = subprocess.Popen(command, pass_fds=(server.fileno(), ending), stdin=subprocess.DEVNULL)
    server.close()
    os.close(ending)

    def end() -> None:
        os.close(ended)
        process.wait()
        folder.cleanup()

    atexit.register(end)
    return path


def _serve(server: socket.socket, ending: int) -> None:
    """Fork for each connection until the other end of `ending` is closed."""
    import select

    _load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while ending not in select.select([server, ending], [], [])[0]:
        connection, _ = server.accept()
        if os.fork() == 0:
            server.close()
            os.close(ending)
            _answer(connection)
        connection.close()


def _load() -> None:
    import importlib
    import pkgutil

    for name in LOADED:
        for found in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if found.name.rpartition(".")[2] not in LEFT_OUT:
                importlib.import_module(found.name)


def _answer(connection: socket.socket) -> None:
    """Be the verb that was asked for."""
    code = 70
    try:
        with connection.makefile("rb") as asked:
            wanted = json.loads(asked.readline())
        for number, path in ((1, wanted["out"]), (2, wanted["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        sys.stdout = open(1, "w")  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(wanted["env"])
        os.chdir(wanted["cwd"])
        sys.argv = ["bascule", *wanted["argv"]]
        from bascule_console.cli.main import main

        code = main()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        connection.sendall(str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
