"""The agent's errors: what failed on this node, why, and what to do.

BasculeError
├── AgentError         the node could not do what was asked
│   ├── BuildError     the BPF programs could not be built or adopted
│   └── LockError      another agent already owns this node
└── (UsageError, UnreachableError, RefusedError as they are)
"""

from __future__ import annotations

from bascule.errors import BasculeError, RefusedError


class AgentError(BasculeError):
    """The node could not do what was asked."""


class BuildError(AgentError):
    """The BPF programs could not be built, or the built ones could not be opened."""


class LockError(RefusedError):
    """Another agent already owns this node."""


def describe(error: BaseException) -> tuple[str, str, str]:
    """(message, cause, fix) of any error; one that is not Bascule's names its type, so that nothing is hidden."""
    if isinstance(error, BasculeError):
        return error.message, error.cause, error.fix
    return f"{type(error).__name__}: {error}", "", ""
