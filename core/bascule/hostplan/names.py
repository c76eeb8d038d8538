"""Names, aliases and addresses of what Bascule builds on a node (DESIGN section 4).

Ownership is the alias, never the name: a link is ours when its alias parses here and its kind fits the role.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

Role = Literal["b", "s", "x"]
"""b: bridge of one VLAN; s: VLAN side of the trunk, a port of that bridge; x: the stub that gives s its carrier."""

NAME_MAX = 15  # IFNAMSIZ is 16 with the closing NUL
ALL = "all"
ALIAS_MAX = 255  # IFALIASZ is 256 with the closing NUL
OURS = "02:b5:"
"""How our bridges' MACs begin, and those that the agents ask trunks from (bascule_agent.probes.trunk)."""
_ALIAS = re.compile(r"bascule:([bsx]):([^/]+)/(all|[1-9][0-9]{0,3})")
_INDEX = re.compile(r"if([1-9][0-9]{0,9})")
KINDS: dict[Role, str] = {"b": "bridge", "s": "veth", "x": "veth"}


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """What an alias says: the role of a link and the segment it serves; `vid` 0 is a bridge of all its VLANs."""

    network: str
    vid: int
    role: Role


@functools.lru_cache(maxsize=8192)
def link_name(role: Role, network: str, vid: int) -> str:
    """`bs<role>-` and 10 lower-case base32 characters of sha256("<network>/<vid>"): 14 characters."""
    return f"bs{role}-{base64.b32encode(_digest(f'{network}/{vid or ALL}'))[:10].decode().lower()}"


def alias(role: Role, network: str, vid: int) -> str:
    """`bascule:<role>:<network>/<vid>`; the vid of a bridge of all VLANs, 0, is written `all`."""
    return f"bascule:{role}:{network}/{vid or ALL}"


@functools.lru_cache(maxsize=8192)
def parse_alias(text: str) -> Owner | None:
    """The reverse of `alias`, None for every other text."""
    match = _ALIAS.fullmatch(text)
    if match is None or (match[3] == ALL and match[1] != "b"):
        return None
    vid = 0 if match[3] == ALL else int(match[3])
    if vid > 4094:
        return None
    role: Role = "b" if match[1] == "b" else "s" if match[1] == "s" else "x"
    return Owner(match[2], vid, role)


@functools.lru_cache(maxsize=8192)
def bridge_mac(node: str, network: str, vid: int) -> str:
    """A pinned, locally administered MAC: without one a bridge takes its ports' lowest and changes as they come."""
    return OURS + _digest(f"{node}/{network}/{vid}")[:4].hex(":")


def index_name(index: int) -> str:
    """`if<index>`: how steps (and iproute2) speak of a link that is gone but still stands in a map."""
    return f"if{index}"


def parse_index_name(name: str) -> int | None:
    """The index of an `if<index>` name, None for every other name. Look for a link of that very name first."""
    match = _INDEX.fullmatch(name)
    return int(match[1]) if match else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
