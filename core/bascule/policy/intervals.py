"""Sets of IPv4 addresses (or ports) as sorted, disjoint ranges with both ends included, and as prefixes for an LPM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
Ranges = tuple[Range, ...]
ALL: Ranges = ((0, 0xFFFFFFFF),)
NONE: Ranges = ()


def union(ranges: Iterable[Range]) -> Ranges:
    """Sorted and joined, also where two only touch."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            if last > found[-1][1]:
                found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return tuple(found)


def intersection(one: Ranges, two: Ranges) -> Ranges:
    """What is in both; each must be sorted and disjoint."""
    found = []
    a = b = 0
    while a < len(one) and b < len(two):
        first, last = max(one[a][0], two[b][0]), min(one[a][1], two[b][1])
        if first <= last:
            found.append((first, last))
        if one[a][1] < two[b][1]:
            a += 1
        else:
            b += 1
    return tuple(found)


def complement(ranges: Ranges, most: int = 0xFFFFFFFF) -> Ranges:
    """What is not in it, of 0 to `most`."""
    found, start = [], 0
    for first, last in ranges:
        if start < first:
            found.append((start, first - 1))
        start = last + 1
    if start <= most:
        found.append((start, most))
    return tuple(found)


def prefixes(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """(first address, prefix length) of the fewest prefixes that cover exactly these addresses."""
    for first, last in ranges:
        while first <= last:
            size = min(first & -first if first else 1 << 32, 1 << ((last - first + 1).bit_length() - 1))
            yield first, 33 - size.bit_length()
            first += size
