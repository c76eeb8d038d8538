"""What is wrong with what an operator gave."""

from __future__ import annotations

from bascule.errors import UsageError


class MigrationInputError(UsageError):
    """An answers file, a list of conversations or an option that cannot be used."""
