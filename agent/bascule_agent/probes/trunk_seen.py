"""Which tagged VLANs come in on a link by themselves: a bounded look with a raw socket, for candidates and proofs."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Sequence

from bascule_agent.probes.errors import ProbeSocketError
from bascule_agent.probes.trunk import ETH_P_ALL, PACKET_AUXDATA, SOL_PACKET, attach_filter, vid_of

FRAMES = 4000
_HEADERS = 64
_OUTGOING = 4
_VLAN_PRESENT = 0xFFFFF000 + 48  # SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT


def seen(links: Sequence[str], seconds: float) -> dict[str, set[int]]:
    """VIDs of tagged frames that came in on each link within `seconds`, or until 4,000 of them were read; a link that
    is down or gone has none. Blocking, in the caller's network namespace."""
    with contextlib.ExitStack() as stack:
        sockets: dict[socket.socket, str] = {}
        for link in links:
            with contextlib.suppress(ProbeSocketError):
                sockets[stack.enter_context(_open(link))] = link
        found: dict[str, set[int]] = {link: set() for link in links}
        deadline, frames = time.monotonic() + seconds, 0
        while sockets and frames < FRAMES and (left := deadline - time.monotonic()) > 0:
            for sock in select.select(list(sockets), [], [], left)[0]:
                frames += _read(sock, found[sockets[sock]])
        return found


def _read(sock: socket.socket, vids: set[int]) -> int:
    count = 0
    with contextlib.suppress(OSError):  # nothing more, or the link went: either ends this look
        while count < FRAMES:
            _, ancillary, _, address = sock.recvmsg(_HEADERS, 128)
            count += 1
            vid = vid_of(ancillary)
            if vid is not None and address[2] != _OUTGOING:
                vids.add(vid)
    return count


def _open(link: str) -> socket.socket:
    """Only tagged frames, and of each only the headers: a busy trunk must not cost more than it tells."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        attach_filter(sock, ((0x20, 0, 0, _VLAN_PRESENT), (0x15, 1, 0, 0), (0x06, 0, 0, _HEADERS), (0x06, 0, 0, 0)))
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((link, ETH_P_ALL))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ProbeSocketError(f"cannot listen on {link}", cause=error.strerror or str(error)) from error
    return sock
