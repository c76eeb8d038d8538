"""Keep the agent small: it runs on every node, beside what the node is for.

glibc gives each thread an arena of its own, which for six mostly idle threads holds megabytes of nothing; imports leave
as much behind again.
"""

from __future__ import annotations

import ctypes
import gc

M_ARENA_MAX = -8
ARENAS = 2


def few_arenas() -> None:
    """Bound the arenas; before threads start."""
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def settle() -> None:
    """Give back what starting up used; once, when the agent has settled."""
    gc.collect()
    gc.freeze()  # what is there now stays: later collections need not walk it
    ctypes.CDLL(None).malloc_trim(0)
