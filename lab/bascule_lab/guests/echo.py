"""The stand-in guest's only process: a TCP echo on port 7, and the talking that init.sh does in a real guest.

Runs in the launcher's namespace as `python -m bascule_lab.guests.echo`; its kernel answers ICMP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
from pathlib import Path

ECHO_PORT = 7
TALK_TIMEOUT_S = 2.0
_ICMP_ECHO = struct.pack("!BBHHH", 8, 0, 0xF7FF, 0, 0)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes until the peer is done."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def talk(peers: list[str], every_s: float) -> None:
    """A ping for a bare address, a TCP connection for address:port, for ever; silence is no error."""
    while True:
        for peer in peers:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(TALK_TIMEOUT_S):
                    await _talk_once(peer)
        await asyncio.sleep(every_s)


async def _talk_once(peer: str) -> None:
    address, _, port = peer.partition(":")
    if not port:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as ping:
            ping.sendto(_ICMP_ECHO, (address, 0))
        return
    reader, writer = await asyncio.open_connection(address, int(port))
    writer.write(b"hello\n")
    writer.write_eof()
    await reader.read(100)
    writer.close()


async def serve(peers: list[str], every_s: float) -> None:
    """Listen, say so on stdout, and talk."""
    server = await asyncio.start_server(echo, "0.0.0.0", ECHO_PORT)
    print("ready", flush=True)
    async with server:
        if peers:
            await talk(peers, every_s)
        await server.serve_forever()


def main() -> None:
    """`--guest` is the guest's path under the lab's state directory: by it the process is known as the lab's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--guest", type=Path, required=True)
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--every", type=float, default=1.5)
    options = parser.parse_args()
    asyncio.run(serve(options.peer, options.every))


if __name__ == "__main__":
    main()
