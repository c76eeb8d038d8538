"""What can be wrong with a request for probes."""

from __future__ import annotations

from bascule.errors import BasculeError, RefusedError, UsageError


class ProbeError(UsageError):
    """The request itself: address, kind or interval."""


class ProbeLimitError(RefusedError):
    """Too many probes run here already."""


class ProbeSocketError(BasculeError):
    """The kernel gave no socket for it."""
