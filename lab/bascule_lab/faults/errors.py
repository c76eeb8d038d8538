"""What can go wrong when a fault is planted."""

from __future__ import annotations

from bascule.errors import BasculeError


class FaultError(BasculeError):
    """The fault could not be planted."""
