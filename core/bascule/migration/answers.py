"""What the operator answers where no evidence does: a YAML or JSON mapping, read strictly.

questions: {observability: {answer: yes, note: "flow records are kept for a year"}}
checks: {multicast: {answer: no, note: "asked the owners", objects: {db-1: yes}}}
port_groups: {Old LAN: 100}              the VLAN of a port group whose source does not tell it
subnets: {100: {cidr: 10.100.0.0/24, gateway: 10.100.0.1}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.estate.cells import CellError, cidr, ipv4
from bascule.migration.errors import MigrationInputError

_WORDS = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Answer:
    """`value` for everything the question is about, `objects` for single ones; True is yes."""

    value: bool | None
    note: str = ""
    objects: Mapping[str, bool] = field(default_factory=dict)

    def of(self, name: str) -> bool | None:
        """The answer for one object."""
        return self.objects.get(name, self.value)


@dataclass(frozen=True, slots=True)
class Answers:
    """All of one file; `subnets` is VLAN → (cidr, gateway)."""

    questions: Mapping[str, Answer] = field(default_factory=dict)
    checks: Mapping[str, Answer] = field(default_factory=dict)
    port_groups: Mapping[str, int] = field(default_factory=dict)
    subnets: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, file: str, questions: tuple[str, ...], checks: tuple[str, ...]) -> Answers:
        """Read a document. Raises MigrationInputError that names the field."""
        parts = _mapping(document if document is not None else {}, file, "the file")
        for key in parts:
            if key not in ("questions", "checks", "port_groups", "subnets"):
                raise _wrong(file, str(key), "no such part", "questions, checks, port_groups or subnets")
        return cls(
            _answers(parts, "questions", questions, file),
            _answers(parts, "checks", checks, file),
            {str(k): _vid(v, file, f"port_groups.{k}") for k, v in _part(parts, "port_groups", file).items()},
            {
                _vid(k, file, f"subnets.{k}"): _subnet(v, file, f"subnets.{k}")
                for k, v in _part(parts, "subnets", file).items()
            },
        )


def _part(parts: Mapping[Any, Any], name: str, file: str) -> Mapping[Any, Any]:
    return _mapping(parts.get(name) or {}, file, name)


def _answers(parts: Mapping[Any, Any], name: str, known: tuple[str, ...], file: str) -> dict[str, Answer]:
    found = {}
    for key, value in _part(parts, name, file).items():
        if key not in known:
            raise _wrong(file, f"{name}.{key}", "no such question", f"one of {', '.join(known)}")
        where = f"{name}.{key}"
        given = _mapping(value, file, where) if not isinstance(value, (bool, str)) else {"answer": value}
        objects = _mapping(given.get("objects") or {}, file, f"{where}.objects")
        answer = given.get("answer")
        found[key] = Answer(
            None if answer is None else _yes_no(answer, file, f"{where}.answer"),
            str(given.get("note", "")),
            {str(k): _yes_no(v, file, f"{where}.objects.{k}") for k, v in objects.items()},
        )
    return found


def _yes_no(value: Any, file: str, where: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise _wrong(file, where, f"{str(value)[:40]!r} is no answer", "yes or no; leave out what is not known yet")


def _vid(value: Any, file: str, where: str) -> int:
    text = str(value)
    if not (text.isdecimal() and len(text) < 5 and 1 <= int(text) <= 4094) or isinstance(value, bool):
        raise _wrong(file, where, f"{text[:40]!r} is no VLAN", "a number from 1 to 4094")
    return int(text)


def _subnet(value: Any, file: str, where: str) -> tuple[str, str]:
    given = _mapping(value if not isinstance(value, str) else {"cidr": value}, file, where)
    try:
        return cidr(str(given.get("cidr") or "")), ipv4(str(given.get("gateway") or ""))
    except CellError as error:
        raise _wrong(file, where, str(error), "cidr: 10.0.0.0/24, gateway: 10.0.0.1") from None


def _mapping(value: Any, file: str, where: str) -> Mapping[Any, Any]:
    if isinstance(value, Mapping):
        return value
    raise _wrong(file, where, "it is no mapping", "key: value, as in docs/migration.md")


def _wrong(file: str, where: str, what: str, fix: str) -> MigrationInputError:
    return MigrationInputError(f"{file}: {where}: {what}", fix=fix)
