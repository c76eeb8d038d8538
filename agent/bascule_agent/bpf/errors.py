"""What can go wrong between the agent and the kernel's BPF side."""

from __future__ import annotations

from bascule.errors import BasculeError


class BpfError(BasculeError):
    """A program or map could not be built, opened or used."""
