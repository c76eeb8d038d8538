"""The readiness checks (`bascule assess`), by subject. Importing this registers all of them."""

from __future__ import annotations

from bascule.migration.checks import addresses, cluster, guests, macs, segment, traffic, vlans
from bascule.migration.checks.registry import CHECKS, ERROR, OK, UNKNOWN, VERDICTS, WARNING, Check, Result

__all__ = [
    "CHECKS",
    "ERROR",
    "OK",
    "UNKNOWN",
    "VERDICTS",
    "WARNING",
    "Check",
    "Result",
    "addresses",
    "cluster",
    "guests",
    "macs",
    "segment",
    "traffic",
    "vlans",
]
