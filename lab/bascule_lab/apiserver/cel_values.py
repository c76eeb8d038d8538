"""CEL programs and the values they see: compiled once, values bound by schema as Kubernetes binds them.

The library (PyPI common-expression-language) has CEL's base language. Kubernetes' own functions (quantity, ip, cidr,
url, find, …) and optional types are not in it; `cannot_run` says so before a rule is ever tried.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from functools import lru_cache
from typing import Any

import cel

from bascule_lab.apiserver.kinds import Schema

_CONVERSIONS = {"int", "uint", "double", "string", "bytes", "bool", "type", "dyn", "timestamp", "duration"}
_TEXTS = {"size", "contains", "startsWith", "endsWith", "matches"}
_TIMES = {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours"}
_TIMES |= {"getMinutes", "getSeconds", "getMilliseconds"}
KNOWN = _CONVERSIONS | _TEXTS | _TIMES
_WORDS = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"}
_WORDS |= {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


@lru_cache(maxsize=4096)
def program(text: str) -> cel.Program:
    """Raises ValueError for text that does not parse (also for syntax that the library lacks)."""
    return cel.compile(text)


@lru_cache(maxsize=4096)
def cannot_run(text: str) -> str:
    """Why an expression is not evaluated here; "" when it is."""
    try:
        functions = program(text).functions()
    except ValueError as error:
        return str(error).partition("\n")[0]
    unknown = [name for name in functions if name.isidentifier() and not name.startswith("_") and name not in KNOWN]
    return f"no function {', '.join(unknown)} here" if unknown else ""


def evaluate(text: str, variables: dict[str, Any]) -> Any:
    """Raises CelError when the expression fails on these values."""
    try:
        return program(text).execute(variables)
    except (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise CelError(str(error) if not isinstance(error, KeyError) else f"no such key: {error.args[0]}") from None


class CelError(Exception):
    """An expression that could not be evaluated on a value."""


def bind(schema: Schema, value: Any) -> Any:
    """A JSON value as CEL sees it: `number` is a double, date-times are timestamps, odd property names are escaped."""
    if isinstance(value, dict):
        declared, extra = schema.get("properties", {}), schema.get("additionalProperties")
        inner = extra if isinstance(extra, dict) else {}
        return {
            _escape(name) if name in declared else name: bind(declared.get(name, inner), item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        inner = schema.get("items") or {}
        return [bind(inner, item) for item in value]
    kind = schema.get("type")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if kind == "number" else int(value) if kind == "integer" else value
    if isinstance(value, str) and schema.get("format") == "date-time":
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value)
    return value


def _escape(name: str) -> str:
    if name in _WORDS:
        return f"__{name}__"
    for sign, word in _ESCAPES:
        name = name.replace(sign, word)
    return name
