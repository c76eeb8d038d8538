"""Names in Kubernetes for what the old side calls as it likes: short where they can be, unique always.

A name that had to be changed carries eight hex digits of its sha256, so two old names never become one.
"""

from __future__ import annotations

import hashlib
import re

FIREWALL = "fw.bascule.dev/firewall"
"""On every VM whose NICs the carried rules govern; its value is the source's name."""
VM_NAME = "fw.bascule.dev/vm"
"""On every VM of the estate; its value is the old name where that is a label's value, else its slug."""
ANNOTATION = "fw.bascule.dev/"
_TAG, _GROUP, _SET = "tag.fw.bascule.dev/", "group.fw.bascule.dev/", "set.fw.bascule.dev/"
_TAG_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,26}[A-Za-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def plain(name: str, most: int = 50) -> str:
    """Lower-case letters, digits, single hyphens, at most `most` characters: for where a hash stands beside it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:most].strip("-") or "x"


def slug(name: str, most: int = 50) -> str:
    """As `plain`, with a hash when that lost something."""
    found = plain(name, most)
    return found if found == name else f"{plain(name, most - 9)}-{digest(name)}"


def digest(text: str) -> str:
    """Eight hex digits of the text's sha256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def is_value(text: str) -> bool:
    """May this stand as a label's value?"""
    return _VALUE.fullmatch(text) is not None


def tag_key(scope: str, tag: str) -> str:
    """The label key of one tag: `tag.fw.bascule.dev/<scope>.<tag>`."""
    if _TAG_PART.fullmatch(tag) and (not scope or _TAG_PART.fullmatch(scope)):
        return _TAG + (f"{scope}.{tag}" if scope else tag)
    return f"{_TAG}{plain(f'{scope}.{tag}' if scope else tag, 40)}.{digest(f'{scope}|{tag}')}"


def group_key(identity: str, name: str) -> str:
    """The label key of a group whose members are computed; `identity` tells groups of one name apart."""
    return f"{_GROUP}{plain(name, 40)}.{digest(identity)}"


def set_key(identity: str, name: str) -> str:
    """The label key of the network set with a group's (or rule's) own addresses."""
    return f"{_SET}{plain(name, 40)}.{digest(identity)}"
