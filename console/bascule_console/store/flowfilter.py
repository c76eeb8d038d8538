"""The flow filter over flow lines: many at once, by the same masks as everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bascule_console.store.flowline import FlowLine
from bascule_console.store.flows import Flows

if TYPE_CHECKING:
    from bascule.flows.filter import Field, Filter

LAST_S = 60.0


def judge_of(wanted: Filter) -> Callable[[Sequence[FlowLine]], list[bool]]:
    """Which of some lines a filter keeps."""

    def judge(lines: Sequence[FlowLine]) -> list[bool]:
        import numpy as np

        from bascule.flows.record import RECORD
        from bascule.flows.scene import Scene

        kept = [False] * len(lines)
        groups: dict[tuple[str, int], list[int]] = {}
        for at, line in enumerate(lines):
            node, _, names = line.seen
            groups.setdefault((node, id(names)), []).append(at)
        for (node, _), members in groups.items():
            records = np.frombuffer(b"".join(lines[at].seen[1] for at in members), RECORD)
            mask = wanted.mask(Scene(records, node, lines[members[0]].seen[2]))
            for at, keeps in zip(members, mask.tolist(), strict=True):
                kept[at] = keeps
        return kept

    return judge


def values_seen(flows: Flows) -> Callable[[Field], Sequence[str]]:
    """A field's values of the last minute, most frames first: what completion offers."""
    known: dict[str, list[str]] = {}

    def seen(field: Field) -> Sequence[str]:
        if field.name not in known:
            known[field.name] = _labels(flows, field) if field.kind == "label" else _values(flows, field)
        return known[field.name]

    return seen


def _values(flows: Flows, field: Field) -> list[str]:
    from bascule.flows.scene import COLUMNS
    from bascule.flows.window import top

    counted: dict[str, int] = {}
    for column in field.columns:
        if column in COLUMNS:
            for each in top(flows.scenes(LAST_S), [column]):
                counted[each.values[0]] = counted.get(each.values[0], 0) + each.packets
    return sorted(counted, key=lambda value: (-counted[value], value))


def _labels(flows: Flows, field: Field) -> list[str]:
    found: dict[str, Any] = {}
    for scene in flows.scenes(LAST_S):
        for port in scene.names.ports.values():
            found.update((f"{name}={value}", None) for name, value in port.labels)
    return sorted(found)
