"""What a run tells while it works, for who narrates it and who draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BEGIN, END, PROGRESS, NOTE = "begin", "end", "progress", "note"


@dataclass(frozen=True, slots=True)
class Told:
    """One piece of news. `kind`: an action begins or ends (`ok`), goes forward (`done` of `total` bytes at `rate` bytes
    a second; `total` 0 is not known), or something is to be said. `vm` is the target's name, `text` a line for people.
    """

    kind: str
    vm: str
    step: str
    action: str
    text: str
    ok: bool = True
    done: int = 0
    total: int = 0
    rate: float = 0.0


Tell = Callable[[Told], None]
