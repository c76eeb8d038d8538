"""A change of a node under commit-confirm: its steps as JSON, what they touch, and where it stands.

The JSON form is what the dead-man process holds and what a restarted agent finds on disk, so it must survive both ends
being of different age: a step that is not known any more is an error that names it, never skipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bascule.errors import BasculeError
from bascule.hostplan.steps import Step
from bascule.resources.network import HostConfig, Network

CHANGE_ANNOTATION = "bascule.dev/change"
"""On a Network: `{"id": …, "confirm": "auto" or "manual", "seconds": …}`, written by `bascule trunks attach|detach`."""
DEFAULT_SECONDS = 10.0
SECONDS_RANGE = (2.0, 600.0)

APPLYING, WAITING, CONFIRMED, ROLLED_BACK, REFUSED = "applying", "waiting", "confirmed", "rolled-back", "refused"


class ChangeError(BasculeError):
    """A change on record that this version cannot read."""


def encode(step: Step) -> dict[str, Any]:
    """A step as JSON: its class's name and its fields."""
    return {"step": type(step).__name__, **asdict(step)}


def decode(value: Mapping[str, Any]) -> Step:
    """The reverse of `encode`. Raises ChangeError."""
    kinds = {kind.__name__: kind for kind in _kinds(Step)}
    kind = kinds.get(str(value.get("step")))
    given = {key: each for key, each in value.items() if key != "step"}
    if kind is None or {each.name for each in fields(kind)} != set(given):
        raise ChangeError(
            f"no step {json.dumps(dict(value))[:200]}", "another version of the agent wrote it", "run that version once"
        )
    return kind(**{key: tuple(each) if isinstance(each, list) else each for key, each in given.items()})


def _kinds(base: type[Step]) -> Iterator[type[Step]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a change is to be confirmed, from CHANGE_ANNOTATION; what cannot be read there is the default."""

    id: str = ""
    manual: bool = False
    seconds: float = DEFAULT_SECONDS

    @classmethod
    def of(cls, network: Network) -> Wish:
        try:
            value = json.loads(network.meta.annotations.get(CHANGE_ANNOTATION, "{}"))
            seconds = float(value.get("seconds") or DEFAULT_SECONDS)
            manual, identity = value.get("confirm") == "manual", str(value.get("id") or "")
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls()
        low, high = SECONDS_RANGE
        return cls(identity, manual, min(max(seconds, low), high) if seconds == seconds else DEFAULT_SECONDS)


def fingerprint(network: Network, config: HostConfig | None) -> str:
    """What of a Network concerns one node (its hostConfig, the VLANs), and which wish brought it: a change that was
    taken back is tried again only when this differs."""
    parts = (config, sorted((e.ids.start, e.ids.stop, e.subnets) for e in network.vlans), Wish.of(network).id)
    return hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()[:16]


@dataclass
class Change:
    """One change as the report shows it. `started_ns` and `deadline_ns` are CLOCK_REALTIME; `checks` is name → what it
    said ("" for passed) after the last look; `why` says what ended it."""

    id: str
    networks: tuple[str, ...]
    steps: tuple[str, ...]
    started_ns: int
    deadline_ns: int
    state: str = APPLYING
    manual: bool = False
    checks: dict[str, str] = field(default_factory=dict)
    why: str = ""
    ended_ns: int = 0

    @property
    def pending(self) -> bool:
        return self.state in (APPLYING, WAITING)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def links_of(step: Step) -> tuple[str, ...]:
    """The names of all links a step speaks of."""
    words = ("name", "stub", "peer", "link", "bridge", "trunk")
    return tuple(str(value) for word in words if (value := getattr(step, word, "")))


def touched(steps: Iterable[Step]) -> frozenset[str]:
    """The names of all links that steps speak of."""
    return frozenset(name for step in steps for name in links_of(step))
