"""Recorded traffic for what-if: what the agents remember, and where none answers, what this console has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from bascule_console.services.recorded import recorded
from bascule_console.services.session import Session
from bascule_console.store.store import Store


@dataclass(frozen=True, slots=True)
class Window:
    """RECORDs of `seconds`, None without any source (`why`); `silent` nodes are missing from them."""

    records: NDArray[Any] | None
    seconds: float
    silent: tuple[str, ...] = ()
    why: str = ""


async def window(session: Session | None, store: Store, seconds: float) -> Window:
    """The last `seconds` of recorded traffic; without a session, what the store has seen. Raises UnreachableError."""
    seen = store.flows.records()
    if session is None:
        return Window(seen, seconds)
    records, answers = await recorded(session.cluster, seconds)
    silent = tuple(sorted(answers.silent))
    if len(records):
        return Window(records, seconds, silent)
    if len(seen):
        return Window(seen, seconds, silent)
    if silent:
        return Window(None, seconds, silent, f"no agent told of any flow: {silent[0]}: {answers.silent[silent[0]]}")
    return Window(records, seconds)
