"""What the two QEMUs say about the memory of one migration: how much crossed, how fast, how long the vCPU waited.

After the switch to post-copy the guest stops at every page that has not come yet. QEMU's target adds that time up
(capability postcopy-blocktime, which needs a kernel that tells threads apart in userfaultfd); it is the stall that no
packet counter shows.
"""

from __future__ import annotations

from bascule_lab.guests.errors import GuestError
from bascule_lab.guests.qmp import Qmp


async def count_stalls(target: Qmp) -> None:
    """Ask the target to add the stalls up; one that cannot goes without."""
    try:
        await target.capabilities(postcopy_blocktime=True)
    except GuestError:
        return


async def memory(source: Qmp, target: Qmp) -> dict[str, float]:
    """`ram_bytes`, `ram_mbps` (Mbit/s), `fault_requests` (pages asked for), `fault_stall_ms`; what is not told is left
    out."""
    found: dict[str, float] = {}
    try:
        ram = (await source.execute("query-migrate")).get("ram") or {}
    except GuestError:
        ram = {}
    names = {"ram_bytes": "transferred", "ram_mbps": "mbps", "fault_requests": "postcopy-requests"}
    found.update({ours: ram[theirs] for ours, theirs in names.items() if theirs in ram})
    try:
        stall = (await target.execute("query-migrate")).get("postcopy-blocktime")
    except GuestError:
        stall = None
    if stall is not None:
        found["fault_stall_ms"] = stall
    return found
