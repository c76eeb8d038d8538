"""What may be typed into a field: brought into one form, or refused with one line that says what would do.

Only the form is judged here; whether a file is there or a VLAN exists is told on the page.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from urllib.parse import urlsplit

from bascule.migration.errors import MigrationInputError
from bascule.migration.wizard import MOST_TEXT
from bascule.migration.wizard_page import CHOICE, NUMBER, PATH, TEXT, URI, YES_NO, Field

_WORDS = {"yes": "yes", "y": "yes", "no": "no", "n": "no"}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_MOST_NUMBER = 1_000_000


def parsed(field: Field, typed: str) -> str:
    """The text to keep; "" takes the answer back. Raises MigrationInputError."""
    text = typed.strip()
    if not text:
        return ""
    if len(text) > MOST_TEXT:
        raise _wrong(field, f"{len(text)} characters", f"at most {MOST_TEXT}")
    if not text.isprintable():
        raise _wrong(field, "a character that cannot be shown", "type it without")
    if not field.many:
        return _FORMS[field.kind](field, text)
    return shlex.join(_FORMS[field.kind](field, each) for each in parts(field, text))


def parts(field: Field, text: str) -> list[str]:
    """The values of a field that takes several. Raises MigrationInputError for a quote that does not end."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise _wrong(field, str(error).lower(), "quote a name with blanks: 'two words'") from None


def several(text: str) -> list[str]:
    """The values of a kept answer of a field that takes several."""
    return shlex.split(text)


def _text(field: Field, text: str) -> str:
    return text


def _yes_no(field: Field, text: str) -> str:
    if text.lower() not in _WORDS:
        raise _wrong(field, f"{text[:40]!r} is no answer", "yes or no")
    return _WORDS[text.lower()]


def _number(field: Field, text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and 1 <= int(text) <= _MOST_NUMBER):
        raise _wrong(field, f"{text[:40]!r} is no number", f"a whole number from 1 to {_MOST_NUMBER}")
    return str(int(text))


def _choice(field: Field, text: str) -> str:
    known = {each.value.lower(): each.value for each in field.choices}
    if text.lower() not in known:
        raise _wrong(field, f"{text[:40]!r} is none of the answers", "one of " + ", ".join(known.values()))
    return known[text.lower()]


def _uri(field: Field, text: str) -> str:
    """A hypervisor's address. A password in it would be kept in a file, and so is refused."""
    if not _SCHEME.match(text):
        raise _wrong(field, f"{text[:60]!r} is no URI", "for example qemu+ssh://root@old-host/system")
    try:
        password = urlsplit(text).password
    except ValueError as error:
        raise _wrong(field, str(error), "for example qemu+ssh://root@old-host/system") from None
    if password is not None:
        raise _wrong(field, "a password does not belong in a URI: answers are kept", "leave it out; it is asked for")
    return text


_FORMS: dict[str, Callable[[Field, str], str]] = {
    TEXT: _text,
    CHOICE: _choice,
    YES_NO: _yes_no,
    PATH: _text,
    URI: _uri,
    NUMBER: _number,
}


def _wrong(field: Field, cause: str, fix: str) -> MigrationInputError:
    return MigrationInputError(f"{field.label}: {cause}", fix=fix)
