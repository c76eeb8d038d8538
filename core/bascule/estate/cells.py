"""Values of cells: text, numbers, yes and no, MACs, addresses and VLANs, as spreadsheets and people write them."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import Any

from bascule.estate.model import PRIVATE, TAGGED, TRUNK, UNKNOWN, UNTAGGED, Vlan

_MAC = re.compile(r"[0-9a-f]{12}")
_MAC_FORM = re.compile(r"[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}|[0-9a-f]{4}(\.[0-9a-f]{4}){2}")
_SPLIT = re.compile(r"[\s,;|]+")
_SPAN = re.compile(r"(\d{1,5})(?:\s*(?:-|\.\.|–)\s*(\d{1,5}))?")
_PRIVATE = re.compile(r"(?:private|pvlan)[^\d]*(\d{1,4})(?:[^\d]+(\d{1,4}))?[^\d]*", re.IGNORECASE)
_PAIR = re.compile(r"(\d{1,4})\s*(?:/\s*(\d{1,4})|\(\s*(\d{1,4})\s*\))")
_NUMBER = re.compile(r"-?\d{1,3}(?:[.,'\u00a0\u202f ]\d{3})+|-?\d+(?:[.,]\d+)?")
_YES = frozenset({"true", "yes", "1", "y", "accept", "on", "wahr", "ja", "vrai", "oui", "verdadero", "si", "sì"})
_NO = frozenset({"false", "no", "0", "n", "reject", "off", "falsch", "nein", "faux", "non", "falso"})
LAST_VLAN, GUEST_TRUNK = 4094, 4095
PLACEHOLDER = "VM"
"""RVTools writes this word into cells it has no value for."""


class CellError(ValueError):
    """A cell that means nothing; the text says why."""


def text(value: Any) -> str:
    """The cell as text: 10.0 is "10", True is "True", None and the placeholder are ""."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def value_text(value: Any) -> str:
    """As `text`, with the placeholder "VM" as nothing: for every column but a name."""
    found = text(value)
    return "" if found == PLACEHOLDER else found


@lru_cache(maxsize=8192)
def number(cell: str) -> int:
    """A whole number, with thousands' separators of any country; "" is 0. Raises CellError."""
    if not cell:
        return 0
    if not _NUMBER.fullmatch(cell):
        raise CellError(f"{cell[:40]!r} is no number")
    if re.fullmatch(r"-?\d{1,3}(?:[.,'\u00a0\u202f ]\d{3})+", cell):
        found = int(re.sub(r"[^\d-]", "", cell))
    else:
        found = int(float(cell.replace(",", ".")))
    if not 0 <= found < 1 << 50:
        raise CellError(f"{cell[:40]!r} is out of range")
    return found


@lru_cache(maxsize=1024)
def yes_no(cell: str) -> bool | None:
    """Yes, no, or None for an empty cell. Raises CellError."""
    word = cell.lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    if not word:
        return None
    raise CellError(f"{cell[:40]!r} is neither yes nor no")


def mac(cell: str) -> str:
    """Lower case with colons; "" for an empty cell. Raises CellError."""
    if not cell:
        return ""
    low = cell.lower()
    digits = re.sub(r"[:.-]", "", low)
    if not _MAC_FORM.fullmatch(low) or not _MAC.fullmatch(digits):
        raise CellError(f"{cell[:40]!r} is no MAC address")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def addresses(cell: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """IPv4 and IPv6 addresses of a cell that may hold several, and the parts of it that are none.

    A prefix length behind an address is dropped.
    """
    four: list[str] = []
    six: list[str] = []
    bad: list[str] = []
    for part in _SPLIT.split(cell) if cell else ():
        found = _address(part) if part else None
        if isinstance(found, IPv4Address):
            four.append(str(found))
        elif isinstance(found, IPv6Address):
            six.append(str(found).partition("%")[0])
        elif part:
            bad.append(part)
    return tuple(dict.fromkeys(four)), tuple(dict.fromkeys(six)), tuple(bad)


@lru_cache(maxsize=65536)
def _address(part: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(part.partition("/")[0])
    except ValueError:
        return None


def cidr(cell: str, mask: str = "") -> str:
    """The subnet of `10.0.0.0/24`, `10.0.0.7/24` or an address with a mask; "" for an empty cell. Raises CellError."""
    if not cell:
        return ""
    try:
        return str(IPv4Network(f"{cell}/{mask}" if mask else cell, strict=False))
    except ValueError as error:
        raise CellError(f"{cell[:40]!r} is no IPv4 subnet: {error}") from None


def ipv4(cell: str) -> str:
    """One IPv4 address; "" for an empty cell. Raises CellError."""
    if not cell:
        return ""
    try:
        return str(IPv4Address(cell))
    except ValueError:
        raise CellError(f"{cell[:40]!r} is no IPv4 address") from None


@lru_cache(maxsize=4096)
def vlan(cell: str) -> Vlan:
    """A VLAN cell: `110`, `0`, `4095`, `10-20,30`, `private 100/101`, `` (unknown). Raises CellError."""
    found = re.sub(r"^vlan\s*(id)?\s*[:=]?\s*(?=\d)", "", cell.strip(), flags=re.IGNORECASE)
    if not found:
        return Vlan(UNKNOWN)
    if found.lower() in ("none", "untagged", "native"):
        return Vlan(UNTAGGED)
    for pattern in (_PRIVATE, _PAIR):
        match = pattern.fullmatch(found)
        if match:
            return Vlan(PRIVATE, tuple((_vid(each), _vid(each)) for each in match.groups() if each))
    return _spans(re.sub(r"^(?:trunk|vlan trunk|range)[\s:]*", "", found, flags=re.IGNORECASE))


def _spans(cell: str) -> Vlan:
    spans: list[tuple[int, int]] = []
    for part in filter(None, re.split(r"[,;]", cell)):
        match = _SPAN.fullmatch(part.strip())
        if not match:
            raise CellError(f"{cell[:40]!r} is no VLAN")
        low = int(match[1])
        high = int(match[2]) if match[2] else low
        if low > high or high > GUEST_TRUNK:
            raise CellError(f"{cell[:40]!r} is no VLAN: ids run from 0 to {LAST_VLAN}")
        spans.append((low, high))
    if not spans:
        raise CellError(f"{cell[:40]!r} is no VLAN")
    if spans == [(0, 0)]:
        return Vlan(UNTAGGED)
    if spans == [(GUEST_TRUNK, GUEST_TRUNK)]:
        return Vlan(TRUNK, ((0, LAST_VLAN),))
    if len(spans) == 1 and spans[0][0] == spans[0][1]:
        return Vlan(TAGGED, (spans[0],))
    return Vlan(TRUNK, tuple(sorted((low, min(high, LAST_VLAN)) for low, high in spans)))


def _vid(cell: str) -> int:
    found = int(cell)
    if not 1 <= found <= LAST_VLAN:
        raise CellError(f"{cell} is no VLAN: ids run from 1 to {LAST_VLAN}")
    return found
