"""What pages are put together from: fields with their answers, tables of limited length, problems from errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bascule.errors import BasculeError
from bascule.migration.wizard_page import TEXT, Choice, Field, Problem, Table
from bascule_console.services.wizard.made import Made

MOST_ROWS, MOST_PROBLEMS = 1000, 40


def ask(
    made: Made,
    identity: str,
    label: str,
    kind: str = TEXT,
    default: str = "",
    help: str = "",  # noqa: A002 — the page's word
    choices: Iterable[tuple[str, str]] = (),
    many: bool = False,
) -> Field:
    """A field with its answer, or its default, and what is wrong with it."""
    given = made.state.answers.get(identity)
    fault = made.fault(identity)
    error = " — ".join(part for part in (fault.message, fault.cause) if part) if fault else ""
    listed = tuple(Choice(value, words) for value, words in choices)
    value = default if given is None else given
    return Field(identity, label, kind, value, listed, help, error, many, given is not None)


def table(
    identity: str, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str = "none"
) -> Table:
    """A table of texts; more rows than a page can hold are counted."""
    cells = [tuple(_cell(each) for each in row) for row in rows]
    return Table(identity, title, tuple(columns), tuple(cells[:MOST_ROWS]), max(len(cells) - MOST_ROWS, 0), empty)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    return str(value)


def faults(made: Made, step: str) -> list[Problem]:
    """What is wrong with the inputs that are given at a step."""
    return [problem(each.error, each.field) for each in made.faults if each.step == step]


def problem(error: BasculeError, name: str = "", verdict: str = "error") -> Problem:
    """An error as a problem that a field mends."""
    return Problem(verdict, error.message, error.cause, error.fix, name)


def shortened(problems: Sequence[Problem], where: str) -> tuple[Problem, ...]:
    """At most MOST_PROBLEMS; the rest are counted and `where` says where they all stand."""
    if len(problems) <= MOST_PROBLEMS:
        return tuple(problems)
    more = len(problems) - MOST_PROBLEMS
    return (*problems[:MOST_PROBLEMS], Problem("warning", f"{more} more problems", "", f"all of them: {where}"))


def few(names: Sequence[str], most: int = 6) -> str:
    """Names as text, the first ones of many."""
    more = f" … {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def plural(number: int, word: str) -> str:
    """`1 VM`, `2 VMs`."""
    return f"{number} {word}" + ("" if number == 1 else "s")
