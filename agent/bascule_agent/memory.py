"""What the C library keeps of memory that was given back: little, since an agent lives for months beside others.

By itself glibc raises its mmap threshold with every large array that is freed; the next one then comes from the heap,
where calloc has to touch all of it and where it stays. A drain asks for several arrays of megabytes twice a second, in
another thread each.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
MAPPED_FROM = 256 * 1024
ARENAS = 2


def give_back() -> None:
    """Large arrays are mapped and unmapped, threads share two heaps. To be called before there are threads; another C
    library than glibc is left as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM)
        mallopt(_M_ARENA_MAX, ARENAS)
