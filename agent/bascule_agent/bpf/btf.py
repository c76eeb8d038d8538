"""What a raw tracepoint needs to know of the running kernel, from its own BTF: `python -m bascule_agent.bpf.btf`.

Offsets of struct members, the names of an enum, the number of a tracepoint's arguments. A child process, as the build
is: BTF is 6 MB of 126,000 types, which the agent would keep for a dozen numbers. Prints `Layout` as JSON.
Format: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from array import array
from dataclasses import asdict, dataclass
from pathlib import Path

from bascule.errors import BasculeError
from bascule_agent.bpf.errors import BpfError

VMLINUX = Path("/sys/kernel/btf/vmlinux")
_MAGIC = 0xEB9F
_STRUCT, _UNION, _ENUM, _TYPEDEF, _FUNC_PROTO = 4, 5, 6, 8, 13
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}  # bytes behind a type's 12: INT, ARRAY, VAR, DECL_TAG
_EACH = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, 15: 12, 19: 12}  # by member: also DATASEC, ENUM64


@dataclass(frozen=True)
class Layout:
    """The kernel as drops.c sees it: its defines, and the names of drop reasons by number."""

    defines: dict[str, int]
    reasons: dict[int, str]


class Btf:
    """Types by kind and name. Raises BpfError where a type or member is not there."""

    def __init__(self, data: bytes) -> None:
        magic, _, _, header, types, type_size, strings, string_size = struct.unpack_from("<HBBIIIII", data)
        if magic != _MAGIC or header + strings + string_size > len(data):
            raise BpfError("the kernel's BTF cannot be read", cause="not little-endian BTF, or cut off")
        self._data, self._strings = data, header + strings
        self._at = array("I", [0])
        self._named: dict[tuple[int, int], int] = {}
        wanted = {_STRUCT, _ENUM, _TYPEDEF}
        at, end, read = header + types, header + types + type_size, struct.Struct("<II").unpack_from
        while at < end:
            name, info = read(data, at)
            kind = info >> 24 & 31
            self._at.append(at)
            if kind in wanted:
                self._named.setdefault((kind, name), len(self._at) - 1)
            at += 12 + _FIXED.get(kind, 0) + _EACH.get(kind, 0) * (info & 0xFFFF)

    def offset(self, owner: str, member: str) -> int:
        """Where a member is in a struct, in bytes; also inside its unnamed structs and unions."""
        found = self._member(self._find(_STRUCT, owner), member)
        if found is None:
            raise BpfError(f"the kernel's struct {owner} has no {member}")
        return found

    def names(self, enum: str) -> dict[int, str]:
        """An enum's names by number."""
        at, count = self._open(self._find(_ENUM, enum))
        pairs = (struct.unpack_from("<Ii", self._data, at + 12 + 8 * n) for n in range(count))
        return {number: self._text(name) for name, number in pairs}

    def arguments(self, tracepoint: str) -> int:
        """How many arguments a raw tracepoint has."""
        number = self._find(_TYPEDEF, f"btf_trace_{tracepoint}")
        for _ in range(2):  # typedef → pointer → function
            (number,) = struct.unpack_from("<I", self._data, self._at[number] + 8)
        return self._open(number)[1] - 1  # the first is the tracepoint's own

    def _find(self, kind: int, name: str) -> int:
        text, at = b"\0" + name.encode() + b"\0", self._strings - 1
        while (at := self._data.find(text, at)) >= 0:
            found = self._named.get((kind, at + 1 - self._strings))
            if found is not None:
                return found
            at += 1
        raise BpfError(f"the kernel's BTF has no {name}", cause="the kernel is older, or was built without it")

    def _open(self, number: int) -> tuple[int, int]:
        at = self._at[number]
        return at, struct.unpack_from("<I", self._data, at + 4)[0] & 0xFFFF

    def _member(self, owner: int, wanted: str, base: int = 0) -> int | None:
        at, count = self._open(owner)
        bits = self._data[at + 7] >> 7  # kind_flag: an offset's upper byte is a bit field's size
        for n in range(count):
            name, kind, offset = struct.unpack_from("<III", self._data, at + 12 + 12 * n)
            here: int = base + (offset & 0xFFFFFF if bits else offset) // 8
            if name and self._text(name) == wanted:
                return here
            unnamed = not name and self._data[self._at[kind] + 7] & 31 in (_STRUCT, _UNION)
            if unnamed and (inside := self._member(kind, wanted, here)) is not None:
                return inside
        return None

    def _text(self, offset: int) -> str:
        start = self._strings + offset
        return self._data[start : self._data.index(b"\0", start)].decode()


def layout_of(btf: Btf) -> Layout:
    """What drops.c needs. Raises BpfError where kfree_skb tells no reason (before 5.17)."""
    if btf.arguments("kfree_skb") < 3:
        raise BpfError(
            "the kernel does not say why it drops a frame", cause="kfree_skb has no reason before Linux 5.17"
        )
    members = {
        "OFF_DEV": ("sk_buff", "dev"),
        "OFF_LEN": ("sk_buff", "len"),
        "OFF_IFINDEX": ("net_device", "ifindex"),
        "OFF_NET": ("net_device", "nd_net"),
    }
    defines = {name: btf.offset(*where) for name, where in members.items()}
    defines["OFF_INUM"] = btf.offset("net", "ns") + btf.offset("ns_common", "inum")
    return Layout(defines, btf.names("skb_drop_reason"))


def read_layout() -> Layout:
    """The running kernel's, by a child process (half a second). Raises BpfError with what it said."""
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BpfError(done.stderr.strip().removeprefix("error: ")[-500:])
    found = json.loads(done.stdout)
    return Layout(found["defines"], {int(number): name for number, name in found["reasons"].items()})


def main() -> int:
    """Print the running kernel's layout; exit 3 with one line on stderr where there is none."""
    try:
        try:
            data = VMLINUX.read_bytes()
        except OSError as error:
            raise BpfError("the kernel has no BTF", cause=str(error), fix="CONFIG_DEBUG_INFO_BTF=y") from None
        print(json.dumps(asdict(layout_of(Btf(data)))))
    except BasculeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
