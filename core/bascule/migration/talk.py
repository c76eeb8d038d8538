"""Who talks to whom, from recorded flows or from a list that another tool exported; the evidence behind waves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bascule.estate.cells import CellError, ipv4, mac, number
from bascule.estate.csvfile import rows_of
from bascule.estate.model import Rejected
from bascule.estate.sheet import Sheet
from bascule.migration.errors import MigrationInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARP, IPV4 = 0x0806, 0x0800
_PROTOCOLS = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "vrrp": 112, "sctp": 132}
_COLUMNS = {
    "src": ("src", "srcip", "sourceip", "source", "sourceaddress"),
    "dst": ("dst", "dstip", "destinationip", "destination", "destinationaddress"),
    "proto": ("proto", "protocol"),
    "port": ("port", "dstport", "destinationport"),
    "bytes": ("bytes", "octets", "size"),
    "packets": ("packets", "pkts"),
    "src_mac": ("srcmac", "sourcemac"),
    "dst_mac": ("dstmac", "destinationmac"),
}


@dataclass(frozen=True, slots=True, order=True)
class Talk:
    """One conversation: `port` is the lower of both ports, the service's in practice. MACs are "" when not known."""

    src: str
    dst: str
    proto: int
    port: int
    packets: int
    bytes: int
    src_mac: str = ""
    dst_mac: str = ""


def of_records(records: NDArray[Any]) -> list[Talk]:
    """From RECORDs (bascule.flows.record): IPv4 only, every pair once a protocol and port, in a fixed order."""
    import numpy as np

    kept = records[records["ethertype"] == IPV4]
    if not len(kept):
        return []
    keys = np.zeros(
        len(kept), [("a", "u1", 4), ("b", "u1", 4), ("p", "u1"), ("q", "<u2"), ("m", "u1", 6), ("n", "u1", 6)]
    )
    keys["a"], keys["b"], keys["p"] = kept["src_ip"], kept["dst_ip"], kept["proto"]
    keys["q"] = np.minimum(kept["src_port"], kept["dst_port"])
    keys["m"], keys["n"] = kept["src_mac"], kept["dst_mac"]
    unique, inverse = np.unique(keys.view(f"V{keys.itemsize}").ravel(), return_inverse=True)
    packets, sizes = (np.bincount(inverse, kept[name].astype(float)).astype(int) for name in ("packets", "bytes"))
    found = unique.view(keys.dtype)
    return sorted(
        Talk(_ip(row["a"]), _ip(row["b"]), int(row["p"]), int(row["q"]), int(packets[at]), int(sizes[at]),
             bytes(row["m"]).hex(":"), bytes(row["n"]).hex(":"))
        for at, row in enumerate(found)
    )  # fmt: skip


def _ip(raw: Iterable[Any]) -> str:
    return ".".join(str(int(each)) for each in raw)


def of_csv(name: str, data: bytes) -> tuple[list[Talk], list[Rejected]]:
    """From a CSV with src, dst and any of proto, port, bytes, packets (a dvSwitch's IPFIX, an NSX or vRNI export).

    Raises MigrationInputError when it is none.
    """
    sheet = Sheet(name, "", _COLUMNS, rows_of(name, data) or [[]])
    if not {"src", "dst"} <= sheet.fields:
        raise MigrationInputError(f"{name}: no list of conversations", "no columns src and dst", "name the first row")
    columns = [sheet.values(each, ipv4, "") for each in ("src", "dst")]
    protocols = sheet.values("proto", _protocol, 0)
    counts = [sheet.values(each, number, 0) for each in ("port", "packets", "bytes")]
    macs = [sheet.values(each, mac, "") for each in ("src_mac", "dst_mac")]
    found = [
        Talk(*row) for row in zip(*columns, protocols, *counts, *macs, strict=True) if row[0] and row[1]
    ]  # fmt: skip
    return sorted(found), sheet.rejected


def _protocol(cell: str) -> int:
    low = cell.lower()
    if low in _PROTOCOLS:
        return _PROTOCOLS[low]
    if low.isdecimal() and len(low) < 4 and int(low) < 256:
        return int(low)
    raise CellError(f"{cell[:40]!r} is no IP protocol")


def pairs(talks: Iterable[Talk], owner: dict[str, str]) -> dict[tuple[str, str], int]:
    """Bytes between each two VMs (by key, the lower first); `owner` is address → VM key."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for talk in talks:
        a, b = owner.get(talk.src), owner.get(talk.dst)
        if a and b and a != b:
            found[min(a, b), max(a, b)] += max(talk.bytes, talk.packets, 1)
    return dict(sorted(found.items()))
