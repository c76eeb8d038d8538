"""The part of Kubernetes' JSONPath that printer columns use: names, quoted names, indexes, `[*]`, and equality filters.

`.spec.vlans[*].id`, `.metadata.annotations['a/b']`, `.metadata.labels.a\\.b/c` and
`.status.conditions[?(@.type=="Ready")].status`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\]\\])+)
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<all>\*)\s*\]
      | \[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
      | \[\?\(\s*@(?P<left>(?:\.(?:\\.|[^.=!\s\\])+)+)\s*(?P<sign>==|!=)
        \s*(?P<mark>['"]?)(?P<right>.*?)(?P=mark)\s*\)\]""",
    re.VERBOSE,
)
Step = tuple[str, Any]


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ValueError for what is not supported."""
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        text = f".{text}"
    steps: list[Step] = []
    at = 0
    while at < len(text):
        if text[at:] == ".":
            break
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f"{path!r} is not understood at {text[at:]!r}")
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["name"] is not None:
        return "name", re.sub(r"\\(.)", r"\1", match["name"])
    if match["quoted"] is not None:
        return "name", match["quoted"]
    if match["index"] is not None:
        return "index", int(match["index"])
    if match["all"] is not None:
        return "all", None
    return "filter", (parse(match["left"]), match["sign"] == "==", match["right"])


def find(path: str, document: Any) -> list[Any]:
    """Every value at `path`; nothing where a part is missing."""
    found = [document]
    for step, detail in parse(path):
        found = [below for value in found for below in _below(step, detail, value)]
    return found


def _below(step: str, detail: Any, value: Any) -> list[Any]:
    if step == "name":
        return [value[detail]] if isinstance(value, dict) and detail in value else []
    if step == "all" and isinstance(value, dict):
        return list(value.values())
    if not isinstance(value, list):
        return []
    if step == "index":
        return [value[detail]] if -len(value) <= detail < len(value) else []
    if step == "all":
        return value
    path, equal, wanted = detail
    return [item for item in value if _holds(path, item, wanted) == equal]


def _holds(path: tuple[Step, ...], item: Any, wanted: str) -> bool:
    found = [item]
    for step, detail in path:
        found = [below for value in found for below in _below(step, detail, value)]
    return any(_text(value) == wanted for value in found)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
