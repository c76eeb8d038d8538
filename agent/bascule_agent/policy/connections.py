"""The connections of one NIC, taken out of one node's table and put into another's. Blocking.

Times are handed over as ages: the monotonic clocks of two nodes have nothing to do with each other. Verdicts are not
handed over: an entry arrives without a program, so its next packet is judged by the policy in force there.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule_agent.bpf import raw
from bascule_agent.bpf.layout import CT, CT_KEY
from bascule_agent.bpf.objects import Objects

HANDED = np.dtype([("key", CT_KEY), ("state", CT)])
"""What travels; `ifindex`, `program` and the rules are 0, `seen` is an age in ns."""
MOST = 60_000
"""More do not travel (3 MB): the oldest are left behind."""


def take(objects: Objects, ifindex: int) -> NDArray[Any]:
    """A port's connections as HANDED rows, the youngest last."""
    keys, states = objects.rows("conntrack")
    mine = keys["ifindex"] == ifindex
    rows = np.zeros(int(mine.sum()), HANDED)
    rows["key"], rows["state"] = keys[mine], states[mine]
    now = np.uint64(time.monotonic_ns())
    rows["state"]["seen"] = now - np.minimum(rows["state"]["seen"], now)
    rows["key"]["ifindex"] = 0
    for name in ("program", "rule", "staged_rule", "staged_action"):
        rows["state"][name] = 0
    return rows[np.argsort(rows["state"]["seen"], kind="stable")[::-1]][-MOST:]


def give(objects: Objects, ifindex: int, handed: bytes) -> int:
    """Enter another node's connections under this port; those that were seen here since stay. How many were entered."""
    rows = np.frombuffer(handed, HANDED).copy()
    rows["key"]["ifindex"] = ifindex
    now = np.uint64(time.monotonic_ns())
    rows["state"]["seen"] = now - np.minimum(rows["state"]["seen"], now)
    keys, states = objects.rows("conntrack")
    mine = keys["ifindex"] == ifindex  # a node may know thousands of others, and this runs while the VM is cutting over
    here = dict(zip((key.tobytes() for key in keys[mine]), states["seen"][mine].tolist(), strict=True))
    younger = [here.get(row["key"].tobytes(), -1) < int(row["state"]["seen"]) for row in rows]
    rows = rows[np.array(younger, bool)]
    if len(rows):
        raw.update_batch(objects.maps["conntrack"], rows["key"], rows["state"])
    return len(rows)


def forget(objects: Objects, ifindex: int) -> None:
    """Remove a port's connections."""
    keys, _ = objects.rows("conntrack")
    for key in keys[keys["ifindex"] == ifindex]:
        raw.delete(objects.maps["conntrack"], key.tobytes())
