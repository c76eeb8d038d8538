"""What can go wrong with the fabric."""

from __future__ import annotations

from bascule.errors import BasculeError


class FabricError(BasculeError):
    """The fabric could not be built or changed."""
