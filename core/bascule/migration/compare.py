"""Two assessments of different dates: what was solved, what is new, what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bascule.migration.errors import MigrationInputError
from bascule.migration.readiness import FORMAT
from bascule.resources.read import dig, items, mapping, text

Row = dict[str, str]


def read_assessment(name: str, data: bytes) -> Mapping[str, Any]:
    """A report that `bascule assess -o json` wrote. Raises MigrationInputError."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MigrationInputError(
            f"{name}: no assessment", f"no JSON: {error}", "bascule assess -o json > FILE"
        ) from None
    if dig(found, "format") != FORMAT:
        raise MigrationInputError(f"{name}: no assessment", f"it is not {FORMAT}", "bascule assess -o json > FILE")
    return mapping(found)


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Row]:
    """`{change, check, object, before, after, evidence}`, change one of new, worse, better, solved; in that order."""
    before, after = _results(old), _results(new)
    order = ("ok", "unknown", "warning", "error")
    rows = []
    for key in [*after, *(key for key in before if key not in after)]:
        was, now = before.get(key, ("ok", ""))[0], after.get(key, ("ok", ""))[0]
        if was == now:
            continue
        change = "new" if key not in before else "solved" if key not in after else ""
        change = change or ("worse" if order.index(now) > order.index(was) else "better")
        evidence = after.get(key, before.get(key, ("", "")))[1]
        rows.append(
            {"change": change, "check": key[0], "object": key[1], "before": was, "after": now, "evidence": evidence}
        )
    changes = ("new", "worse", "better", "solved")
    return sorted(rows, key=lambda row: (changes.index(row["change"]), row["check"], row["object"]))


def _results(document: Mapping[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    """The worst verdict of each (check, object), with its evidence."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for check in items(dig(document, "checks")):
        for result in items(dig(check, "results")):
            verdict = text(dig(result, "verdict"))
            if verdict in ("unknown", "warning", "error"):
                key = text(dig(check, "id")), text(dig(result, "object"))
                found.setdefault(key, (verdict, text(dig(result, "evidence"))))
    for question in items(dig(document, "questions")):
        if text(dig(question, "answer")).startswith("unknown"):
            found["question", text(dig(question, "id"))] = "unknown", text(dig(question, "text"))
    return found
