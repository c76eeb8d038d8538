"""What ends the reading of one file."""

from __future__ import annotations

from bascule.errors import UsageError


class EstateFileError(UsageError):
    """A file of the old side that cannot be read; the message begins with its name."""
