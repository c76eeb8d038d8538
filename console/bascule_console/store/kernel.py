"""What a node's kernel can do for an agent, by its release. Pure.

Only abilities that Bascule uses are named; the release is what the agent reports, and a distribution's kernel may have
more than its number says.
"""

from __future__ import annotations

import re

ABILITIES = (
    ("batched maps", (5, 6)),
    ("ring buffer", (5, 8)),
    ("drop reasons", (5, 17)),
    ("tcx", (6, 6)),
)
_RELEASE = re.compile(r"(\d+)\.(\d+)")


def abilities(release: str) -> list[tuple[str, bool | None, str]]:
    """(ability, whether this release has it or None when it is no release, the release it came with)."""
    found = _RELEASE.match(release)
    have = (int(found[1]), int(found[2])) if found else None
    return [(name, None if have is None else have >= since, f"{since[0]}.{since[1]}") for name, since in ABILITIES]
