"""An estate as JSON and back. The form is the dataclasses of model.py by name; what is empty is left out.

The same estate is always the same bytes: keys stand in the order of the fields, lists in the order of the estate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from bascule.estate.errors import EstateFileError
from bascule.estate.model import Estate

FORMAT = "bascule-estate/1"
T = TypeVar("T")
_DEFAULTS: dict[Any, tuple[tuple[str, Any], ...]] = {}
_HINTS: dict[Any, dict[str, Any]] = {}


def to_json(estate: Estate) -> dict[str, Any]:
    """The JSON form."""
    return {"format": FORMAT, **plain(estate)}


def dump(estate: Estate) -> str:
    """The JSON text, one object a line, so that two estates can be compared by line."""
    lines = []
    for name, value in to_json(estate).items():
        if isinstance(value, list):
            body = ",\n  ".join(json.dumps(each) for each in value)
            lines.append(f' "{name}": [\n  {body}\n ]')
        else:
            lines.append(f' "{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load_document(name: str, data: bytes) -> Estate:
    """Read what `dump` wrote. Raises EstateFileError that names the field."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EstateFileError(
            f"{name}: no estate", f"no JSON: {error}", "bascule estate import FILE… makes one"
        ) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format", "no format") if isinstance(value, dict) else "no object"
        raise EstateFileError(f"{name}: no estate", f"it has {found!r}, not {FORMAT!r}", "import the sources again")
    try:
        return build(Estate, {key: each for key, each in value.items() if key != "format"}, "estate")
    except _WrongError as error:
        raise EstateFileError(
            f"{name}: no estate: {error}", "it was changed by hand", "import the sources again"
        ) from None


def plain(value: Any) -> Any:
    """Dataclasses as dicts without their empty fields, tuples as lists."""
    if isinstance(value, (str, int, float, bool, NoneType)):
        return value
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    found = {}
    for name, default in _defaults(type(value)):
        each = getattr(value, name)
        if each != default or type(each) is not type(default):
            found[name] = plain(each)
    return found


def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    if kind not in _DEFAULTS:
        _DEFAULTS[kind] = tuple((each.name, each.default) for each in fields(kind))
    return _DEFAULTS[kind]


class _WrongError(ValueError):
    """A field with a value of another type."""


def build(kind: type[T], value: Any, where: str) -> T:
    """A dataclass of `kind` from its dict. Raises ValueError that names the field."""
    if not isinstance(value, Mapping):
        raise _WrongError(f"{where} is no object")
    hints = _hints(kind)
    unknown = next((key for key in value if key not in hints), None)
    if unknown is not None:
        raise _WrongError(f"{where} has a field {str(unknown)[:40]!r} that is not known")
    given = {key: _value(hints[key], each, f"{where}.{key}") for key, each in value.items()}
    try:
        return kind(**given)
    except TypeError:
        missing = next(name for name in hints if name not in given)
        raise _WrongError(f"{where} has no {missing}") from None


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        return _value(next(each for each in parts if each is not NoneType), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _WrongError(f"{where} is no list")
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        if len(kinds) != len(value):
            raise _WrongError(f"{where} has {len(value)} parts, not {len(kinds)}")
        return tuple(
            _value(kind, each, f"{where}[{at}]") for at, (kind, each) in enumerate(zip(kinds, value, strict=True))
        )
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _WrongError(f"{where} is no {hint.__name__}")
    return value
