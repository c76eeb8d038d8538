"""Work beside a screen that a newer one of its kind replaces."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker


def work(node: DOMNode, run: Callable[[], Coroutine[Any, Any, None]], group: str) -> None:
    """Run it in the app's loop. A function, not a coroutine: one that is replaced before it began was never made."""
    _: Worker[None] = node.run_worker(run, group=group, exclusive=True, exit_on_error=True)
