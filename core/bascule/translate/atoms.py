"""The finite world of a proof: classes of addresses and of services that no rule of either side tells apart.

Between two bounds of any rule's addresses all addresses behave alike, and between two bounds of ports all ports. So one
packet of each class stands for all, and comparing them all is a proof, not a sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bascule.policy.intervals import Ranges
from bascule.translate.model import ICMP
from bascule.translate.world import Box

Bits = NDArray[np.bool_]
OTHER = 253  # reserved for experiments (RFC 3692): stands for all protocols that no rule names


@dataclass(frozen=True, slots=True)
class ServiceAtom:
    """One class of services by its smallest packet; for ICMP the ports are type and code."""

    protocol: int
    source: int
    destination: int


def address_starts(sets: Iterable[Ranges]) -> NDArray[np.int64]:
    """Where address classes begin, ascending from 0; each ends before the next."""
    edges = {0}
    for ranges in sets:
        for first, last in ranges:
            edges.add(first)
            edges.add(last + 1)
    edges.discard(1 << 32)
    return np.array(sorted(edges), np.int64)


def in_ranges(starts: NDArray[np.int64], ranges: Ranges) -> Bits:
    """Which address classes are in a set whose bounds are among `starts`."""
    steps = np.zeros(len(starts) + 1, np.int64)
    if ranges:
        edges = np.array(ranges, np.int64)
        np.add.at(steps, np.searchsorted(starts, edges[:, 0]), 1)
        np.add.at(steps, np.searchsorted(starts, edges[:, 1] + 1), -1)
    return np.asarray(steps[:-1].cumsum() > 0, bool)


def service_atoms(boxes: Iterable[Box]) -> tuple[ServiceAtom, ...]:
    """One packet for each class of services that the boxes tell apart."""
    edges: dict[int, tuple[set[int], set[int]]] = {OTHER: ({0}, {0})}
    for box in boxes:
        if box.protocol is None:
            continue
        ports = edges.setdefault(box.protocol, ({0}, {0}))
        most = 255 if box.protocol == ICMP else 65535
        for (low, high), found in zip((box.source, box.destination), ports, strict=True):
            found |= {edge for edge in (low, high + 1) if edge <= most}
    return tuple(
        ServiceAtom(protocol, source, destination)
        for protocol, (sources, destinations) in sorted(edges.items())
        for source in sorted(sources)
        for destination in sorted(destinations)
    )


def in_boxes(atoms: tuple[ServiceAtom, ...], boxes: tuple[Box, ...]) -> Bits:
    """Which service classes any of the boxes holds."""
    return np.array([any(holds(box, atom) for box in boxes) for atom in atoms], bool)


def holds(box: Box, atom: ServiceAtom) -> bool:
    """Is the packet in the box?"""
    if box.protocol is not None and (box.protocol == atom.protocol) == box.negated:
        return False
    ports = ((box.source, atom.source), (box.destination, atom.destination))
    return all(low <= port <= high for (low, high), port in ports)


def classes(bits: Bits) -> tuple[Bits, NDArray[np.int64]]:
    """The distinct rows of [atom, set], and for each its first atom: what these sets do not tell apart is one class."""
    packed = np.packbits(bits, axis=1)
    view = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first = np.unique(view, return_index=True)
    return bits[first], np.asarray(first, np.int64)
