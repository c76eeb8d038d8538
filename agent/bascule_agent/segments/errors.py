"""Why a step could not be carried out."""

from __future__ import annotations

from bascule.errors import BasculeError


class SegmentError(BasculeError):
    """A step of a plan that this node could not execute."""
