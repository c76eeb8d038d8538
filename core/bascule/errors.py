"""The root of every error that Bascule shows: what happened, why, and what to do next.

BasculeError
├── UsageError        exit 2   a bad argument, document or field
├── UnreachableError  exit 3   a cluster or an agent does not answer
├── RefusedError      exit 4   read-only, a precondition, RBAC
└── PartialError      exit 5   some nodes are silent

Each package derives its own errors from these.
"""

from __future__ import annotations


class BasculeError(Exception):
    """A failure with a cause and a fix; `exit_code` is DESIGN section 5's."""

    exit_code = 1

    def __init__(self, message: str, cause: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        parts = [self.message]
        if self.cause:
            parts.append(f"cause: {self.cause}")
        if self.fix:
            parts.append(f"fix: {self.fix}")
        return "; ".join(parts)


class UsageError(BasculeError):
    """A bad argument, document or field."""

    exit_code = 2


class UnreachableError(BasculeError):
    """A cluster or an agent does not answer."""

    exit_code = 3


class RefusedError(BasculeError):
    """Not allowed here: read-only, a precondition that fails, or RBAC."""

    exit_code = 4


class PartialError(BasculeError):
    """The answer is incomplete: some nodes are silent."""

    exit_code = 5
