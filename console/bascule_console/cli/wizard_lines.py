"""A page of the wizard as lines: read from the top by a person, a screen reader or a script. Pure.

Nothing is told by colour or place alone, and no line is longer than what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bascule.migration.wizard import STEPS
from bascule.migration.wizard_page import CHOICE, NUMBER, PATH, URI, YES_NO, Action, Apply, Field, Page, Progress, Table
from bascule.text import escape

FEW = 12
_HINTS = {YES_NO: "yes or no", NUMBER: "a number", PATH: "a path", URI: "a URI"}


def page_lines(page: Page) -> Iterator[str]:
    """The whole page; long tables and differences are counted, and `show` brings them."""
    yield f"Step {page.number} of {len(STEPS)}: {page.title} - {page.summary}"
    for sentence in page.explains:
        yield f"  {sentence}"
    for note in page.notes:
        yield f"  Changed: {note}"
    for at, each in enumerate(page.facts, 1):
        yield ""
        yield from table_lines(each, f"Table {at}", FEW)
    yield from _bars(page.progress)
    yield from _applies(page.applies)
    yield from _problems(page)
    if page.fields:
        yield ""
        yield "Questions (a number asks it):"
        for at, field in enumerate(page.fields, 1):
            yield from field_lines(field, at)
    yield from _actions(page.actions)
    yield ""
    for word, gate in (("Next", page.next), ("Back", page.back)):
        yield f"{word}: {escape(gate.text)}" if gate.allowed else f"{word} is not possible: {escape(gate.text)}"


def table_lines(table: Table, name: str, most: int = 0) -> Iterator[str]:
    """A table with its title; at most `most` rows, 0 for all."""
    total = len(table.rows) + table.more
    yield f"{name}: {table.title} ({total})"
    if not table.rows:
        yield f"  {table.empty}"
        return
    shown = table.rows[:most] if most else table.rows
    cells = [tuple(title.upper() for title in table.columns), *(tuple(map(escape, row)) for row in shown)]
    used = [at for at in range(len(table.columns)) if any(row[at] for row in cells[1:])]
    widths = {at: max(len(row[at]) for row in cells) for at in used}
    for row in cells:
        yield ("  " + "   ".join(row[at].ljust(widths[at]) for at in used)).rstrip()
    left = total - len(shown)
    if left:
        yield f"  {left} more: show {name.removeprefix('Table ')}" if len(shown) < len(table.rows) else f"  {left} more"


def field_lines(field: Field, number: int) -> Iterator[str]:
    """One question: what counts now, what may be said."""
    state = escape(field.value) if field.value else "not answered"
    if field.value and not field.given:
        state += " (unless you say otherwise)"
    yield f"  {number}. {escape(field.label)}: {state}"
    if field.error:
        yield f"     Wrong: {escape(field.error)}"
    hints = [part for part in (_hint(field), escape(field.help)) if part]
    if hints:
        yield f"     {'; '.join(hints)}"
    if field.kind == CHOICE:
        for choice in field.choices:
            yield f"     {escape(choice.value)} = {escape(choice.label)}"


def _hint(field: Field) -> str:
    names = [choice.value for choice in field.choices]
    if field.kind == CHOICE:
        return "one of " + ", ".join(map(escape, names))
    hint = _HINTS.get(field.kind, "")
    if field.many:
        hint = f"{hint}, several with blanks between" if hint else "several with blanks between"
    if names:
        hint += ": " + ", ".join(map(escape, names[:FEW])) + (" …" if len(names) > FEW else "")
    return hint


def _problems(page: Page) -> Iterator[str]:
    if not page.problems:
        return
    numbers = {field.id: str(at) for at, field in enumerate(page.fields, 1)}
    yield ""
    yield f"Problems ({len(page.problems)}):"
    for each in page.problems:
        yield f"  {each.verdict}: {escape(each.text)}"
        if each.evidence:
            yield f"     because {escape(each.evidence)}"
        where = ""
        if each.field in numbers:
            where = f" (question {numbers[each.field]})"
        elif each.field:
            where = f" (at {each.field.partition('.')[0]})"
        if each.fix or where:
            yield f"     to do: {escape(each.fix)}{where}"


def _applies(applies: Sequence[Apply]) -> Iterator[str]:
    if not applies:
        return
    yield ""
    yield f"What will be applied ({len(applies)}; show diff has it in full):"
    for at, each in enumerate(applies, 1):
        yield f"  {at}. {each.verb} {escape(each.object)}"


def diff_lines(applies: Sequence[Apply], number: int = 0) -> Iterator[str]:
    """What will be applied in full: all of it, or one by its number."""
    for at, each in enumerate(applies, 1):
        if number in (0, at):
            yield f"{at}. {each.verb} {escape(each.object)}"
            yield from (f"  {escape(line)}" for line in each.diff.splitlines() or ["nothing changes"])


def _actions(actions: Sequence[Action]) -> Iterator[str]:
    if not actions:
        return
    yield ""
    yield "Actions (do NAME):"
    for each in actions:
        targets = f"; to: {', '.join(map(escape, each.targets[:FEW]))}" if each.targets else ""
        blocked = f"; not now: {escape(each.blocked)}" if each.blocked else ""
        yield f"  {each.id}: {each.label}; {escape(each.help)}{blocked or targets}"


def _bars(progress: Sequence[Progress]) -> Iterator[str]:
    if not progress:
        return
    yield ""
    yield "Progress:"
    yield from (f"  {line}" for line in map(progress_line, progress))


def progress_line(each: Progress) -> str:
    """One VM of the run in words."""
    parts = [f"wave {each.wave}, {escape(each.vm)}: {each.state}"]
    if each.step:
        parts.append(f"at {each.step}")
    if each.unit == "bytes":
        of = f" of {_mib(each.total)}" if each.total else ""
        parts.append(f"{_mib(each.done)}{of} copied, {each.rate / (1 << 20):.1f} MiB/s")
    elif each.total:
        parts.append(f"{each.done} of {each.total} {each.unit}")
    if each.left_s is not None and each.how != "over":
        parts.append(f"about {round(each.left_s)} s left ({each.how})")
    elif each.left_s is None and each.how:
        parts.append(each.how)
    if each.evidence:
        parts.append(escape(each.evidence))
    return ", ".join(parts)


def _mib(number: int) -> str:
    return f"{number / (1 << 20):.0f} MiB"
