"""What goes wrong with files of old rules."""

from __future__ import annotations

from bascule.errors import UsageError


class RuleFileError(UsageError):
    """A file of rules that cannot be read; the message begins with its name."""
