"""The list-watch state machine: how a cache follows a Kubernetes API server through every way a watch can end."""

from bascule.watch.backoff import Backoff
from bascule.watch.cache import Delta, Key, Obj
from bascule.watch.machine import (
    Action,
    Eof,
    Failed,
    Input,
    Line,
    ListRequest,
    ListWatch,
    Page,
    Sleep,
    Start,
    Synced,
    Timer,
    WatchRequest,
)

__all__ = [
    "Action",
    "Backoff",
    "Delta",
    "Eof",
    "Failed",
    "Input",
    "Key",
    "Line",
    "ListRequest",
    "ListWatch",
    "Obj",
    "Page",
    "Sleep",
    "Start",
    "Synced",
    "Timer",
    "WatchRequest",
]
