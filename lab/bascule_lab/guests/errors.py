"""What can go wrong with a guest, its kernel or its template."""

from __future__ import annotations

from bascule.errors import BasculeError


class GuestError(BasculeError):
    """A guest did not start, answer or stop."""


class KernelError(BasculeError):
    """The guest kernel cannot be had."""


class TemplateError(BasculeError):
    """The guest template did not boot or could not be saved."""


class SerialError(GuestError):
    """The guest's serial port is silent, or what came over it makes no sense."""
