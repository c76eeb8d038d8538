"""What can go wrong with the old side."""

from __future__ import annotations

from bascule.errors import BasculeError


class OldSideError(BasculeError):
    """The old side did not come up, or does not answer."""
