"""Frames that a node threw away beside its ports' own verdicts: by the kernel, or by the trunk programs.

No flow record has them (the kernel says which link and why, not whose frame), so they travel beside the records and are
in no ledger: a frame that a port passed and the kernel then dropped is one record and one drop. Counts are sums since
the agent started, so a batch that is lost loses nothing; a viewer takes differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bascule.flows.reasons import Reason
from bascule.flows.rows import time_text

KERNEL, TRUNK = "kernel", "trunk"

_TEXT = {
    "NOT_SPECIFIED": "the kernel gives no closer reason",
    "NO_SOCKET": "no socket listens there",
    "SOCKET_FILTER": "a socket's own filter refused it",
    "SOCKET_RCVBUFF": "the receiving socket's buffer is full",
    "PKT_TOO_SMALL": "shorter than its header says",
    "TCP_CSUM": "wrong TCP checksum",
    "UDP_CSUM": "wrong UDP checksum",
    "NETFILTER_DROP": "a netfilter rule of this node dropped it",
    "OTHERHOST": "the node's own stack was handed a frame for another MAC",
    "IP_CSUM": "wrong IP header checksum",
    "IP_INHDR": "the IP header is none",
    "IP_RPFILTER": "reverse path filter",
    "IP_NOPROTO": "no such protocol here",
    "IP_OUTNOROUTES": "no route",
    "IP_INNOROUTES": "no route back, or no route on",
    "UNHANDLED_PROTO": "the node's own stack does not speak this protocol",
    "TC_INGRESS": "another program on the link dropped what came in",
    "TC_EGRESS": "another program on the link dropped what went out",
    "QDISC_DROP": "the link's queue is full, or shapes",
    "QDISC_OVERLIMIT": "the link's queue is over its limit",
    "CPU_BACKLOG": "a CPU's input queue is full",
    "XDP": "an XDP program dropped it",
    "PKT_TOO_BIG": "larger than the link's MTU",
    "FULL_RING": "the link's ring is full: its reader is too slow",
    "NO_TX_TARGET": "the bridge has no other port to send it to",
    "NOMEM": "no memory",
    "HDR_TRUNC": "the header is cut off",
    "TAP_FILTER": "the tap's filter",
    "TAP_TXFILTER": "the tap's filter",
    "DEV_READY": "the link is down",
    "BRIDGE_INGRESS_STP_STATE": "the bridge port does not forward",
    "LOCKED_PORT": "the sender's MAC is not allowed at this locked bridge port",
}


@dataclass(frozen=True)
class LinkDrop:
    """Frames dropped at one link for one reason since the agent started. `by` is KERNEL, with the kernel's own name of
    the reason (`SOCKET_RCVBUFF`; bytes as it held them there, a GSO frame counts once), or TRUNK, with the label of a
    Reason. `last_ns` is CLOCK_REALTIME, 0 when not known."""

    link: str
    ifindex: int
    by: str
    reason: str
    packets: int
    bytes: int
    last_ns: int = 0

    @property
    def why(self) -> str:
        """The reason in words; "" for one that this version has no words for."""
        if self.by == TRUNK:
            return next((each.text for each in Reason if each.label == self.reason), "")
        return _TEXT.get(self.reason, "")


@dataclass(frozen=True)
class LinkDrops:
    """What a node told: its drops since `since_ns` (CLOCK_REALTIME); `absent` says why the kernel's are not counted."""

    since_ns: int = 0
    absent: str = ""
    found: tuple[LinkDrop, ...] = ()


def drop_dict(drop: LinkDrop) -> dict[str, Any]:
    """One drop as a node's report and JSON have it."""
    return {
        "link": drop.link,
        "by": drop.by,
        "reason": drop.reason,
        "why": drop.why,
        "packets": drop.packets,
        "bytes": drop.bytes,
        "last": time_text(drop.last_ns) if drop.last_ns else "",
    }
