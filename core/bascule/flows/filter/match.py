"""What one value of a term accepts: texts by glob, addresses by CIDR, numbers by comparison and range, labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from bascule.flows.filter.errors import FilterError
from bascule.flows.filter.tokens import Token, Value

Test = Callable[[str], bool]
Range = tuple[int, int]
_SCALES = {
    "": {"": 1},
    "size": {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30},
    "time": {"us": 1, "µs": 1, "ms": 1000, "s": 1_000_000},
}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([a-zµ]*)", re.IGNORECASE)
_CIDR = re.compile(r"\d+\.\d+\.\d+\.\d+(/\d+)?")
BIGGEST = 2**64 - 1


@lru_cache(maxsize=1024)
def glob(pattern: str) -> Test:
    """Case-insensitive; `*`, `?` and `[…]` as in a shell."""
    if not any(sign in pattern for sign in "*?["):
        wanted = pattern.casefold()
        return lambda text: text.casefold() == wanted
    compiled = re.compile(translate(pattern.casefold()))
    return lambda text: compiled.match(text.casefold()) is not None


def exactly(wanted: str) -> Test:
    """The same text, whatever its case."""
    folded = wanted.casefold()
    return lambda text: text.casefold() == folded


def text_test(value: Value, operator: str) -> Test:
    """A glob for `:`; the text itself for `=`, `!=` and between quotes."""
    return glob(value.text) if operator == ":" and not value.quoted else exactly(value.text)


def address_net(text: str, value: Value) -> IPv4Network | None:
    """The net that a value means, None when it is no address; FilterError when it looks like one and is none."""
    if value.quoted or not _CIDR.fullmatch(value.text):
        return None
    try:
        return IPv4Network(value.text, strict=False)
    except ValueError as error:
        fix = "four numbers up to 255, a prefix length up to 32: 10.110.0.0/24"
        raise FilterError(text, value.at, f"{value.text} is no address ({error})", fix, len(value.text)) from None


def in_net(net: IPv4Network) -> Test:
    """Whether an address's text lies in the net; "" never does."""
    first, last = int(net.network_address), int(net.broadcast_address)
    return lambda text: bool(text) and first <= int(IPv4Address(text)) <= last


def label_test(value: Value) -> Callable[[Mapping[str, str]], bool]:
    """`app=web-*`: the label's value by glob; `app` alone: the label is there."""
    name, equals, wanted = value.text.partition("=")
    if not equals:
        return lambda labels: name in labels
    accepts = exactly(wanted) if value.quoted else glob(wanted)
    return lambda labels: name in labels and accepts(labels[name])


def number_ranges(text: str, token: Token, unit: str) -> list[Range]:
    """The inclusive ranges a number must be in (any of them). Raises FilterError."""
    return [_range(text, token.operator, value, unit) for value in token.values]


def _range(text: str, operator: str, value: Value, unit: str) -> Range:
    low, dash, high = value.text.partition("-")
    if dash and operator in (":", "=", "!="):
        first = _number(text, value, low, unit)
        last = _number(text, Value(high, value.at + len(low) + 1), high, unit)
        if first > last:
            fix = f"{high}-{low}"
            raise FilterError(text, value.at, f"the range {value.text} is backwards", fix, len(value.text))
        return first, last
    number = _number(text, value, value.text, unit)
    return {
        ">": (number + 1, BIGGEST),
        ">=": (number, BIGGEST),
        "<": (0, number - 1),
        "<=": (0, number),
    }.get(operator, (number, number))


def _number(text: str, value: Value, written: str, unit: str) -> int:
    scales = _SCALES[unit]
    found = _NUMBER.fullmatch(written)
    scale = scales.get(found[2].casefold().removesuffix("b" if unit == "size" else "\0")) if found else None
    if found is None or scale is None:
        length = max(1, len(written))
        if unit == "time":
            raise FilterError(text, value.at, f"{written or 'nothing'} is no time", "5ms, 800us or 1.5s", length)
        fix = "a number, for example 1500, 10k or 4M" if unit else "a whole number, or a range as 8000-8999"
        raise FilterError(text, value.at, f"{written or 'nothing'} is no number", fix, length)
    number = float(found[1]) * scale
    if number != int(number) or number > BIGGEST:
        raise FilterError(text, value.at, f"{written} is no whole number", "leave out the fraction", len(written))
    return int(number)
