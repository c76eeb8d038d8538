"""`python -m bascule_lab.apiserver --state DIR --port N`: the API alone on loopback, until a signal."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

from bascule.errors import BasculeError, UsageError
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, prepare
from bascule_lab.apiserver.state import USERS


async def serve(state: Path, port: int, nodes: list[str]) -> None:
    """Prepare, write `<state>/kubeconfig`, serve until SIGINT or SIGTERM; prints one line when ready."""
    credentials = prepare(state, nodes)
    listener = _listen(port)
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    contexts = {f"lab-{user}": credentials.tokens[user] for user in USERS}
    write_kubeconfig(state / "kubeconfig", url, credentials.ca_pem, contexts, "lab-admin")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = ApiServer(state)
    try:
        await server.start([listener])
        print(f"serving {url}, kubeconfig {state / 'kubeconfig'}", file=sys.stderr, flush=True)
        await stopped.wait()
    finally:
        await server.stop()
        listener.close()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(f"cannot listen on 127.0.0.1:{port}", str(error), "choose another --port") from error
    return listener


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bascule_lab.apiserver", description="The lab's API, alone.")
    parser.add_argument("--state", type=Path, required=True, help="directory for TLS, tokens and database")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--node", action="append", default=[], help="a node that gets a token (repeatable)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    try:
        asyncio.run(serve(options.state, options.port, options.node))
    except BasculeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
