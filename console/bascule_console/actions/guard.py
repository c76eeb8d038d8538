"""What a session may do: read-only, protected, and which rights the cluster granted. Pure.

A danger action that is not permitted is absent, not failing. Rights that were not answered yet count as not granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bascule_console.actions.model import Action, Need


@dataclass(frozen=True, slots=True)
class Guard:
    """`protected` wants the name of what changes typed; `unasked` is a session without a cluster to ask."""

    read_only: bool = False
    protected: bool = False
    unasked: bool = False

    def permits(self, action: Action, rights: Mapping[Need, bool]) -> bool:
        """Whether the action is there at all."""
        if not action.danger:
            return True
        if self.read_only:
            return False
        return self.unasked or all(rights.get(need, False) for need in action.needs)
