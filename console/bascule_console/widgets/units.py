"""Numbers and times as people read them. Pure."""

from __future__ import annotations


def count(number: float) -> str:
    """At most five characters: 999, 12.3k, 4.5M."""
    return _scaled(number, ("", "k", "M", "G", "T", "P"))


def size(octets: float) -> str:
    """Bytes in at most six characters: 999B, 1.5kB (powers of 1000, as iftop and ip -s -h do)."""
    return _scaled(octets, ("B", "kB", "MB", "GB", "TB", "PB"))


def seconds(value: float) -> str:
    """12 ms, 1.4 s, 3 min."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 90 else f"{value / 60:.0f} min"


def _scaled(number: float, units: tuple[str, ...]) -> str:
    rank = 0
    while round(number, 1) >= 1000 and rank < len(units) - 1:
        number, rank = number / 1000, rank + 1
    digits = 0 if rank == 0 or number >= 99.95 else 1
    return f"{number:.{digits}f}{units[rank]}"
