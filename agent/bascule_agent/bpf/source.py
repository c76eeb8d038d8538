"""One BPF source with the headers it includes, as one text: what is hashed is what is compiled.

bcc compiles the text of one file and rewrites only that (map.lookup and the like), so headers are put in place here
instead of by clang. `#line` keeps the compiler's messages about the file that they are in.
"""

from __future__ import annotations

import re
from pathlib import Path

from bascule_agent.bpf.errors import BpfError

_INCLUDE = re.compile(r'#include "([^"/]+)"')


def expand(source: Path) -> str:
    """`source` with every `#include "name"` replaced by the file of that name beside it, each once. BpfError when one
    cannot be read."""
    return "\n".join(_lines(source, set())) + "\n"


def _lines(path: Path, seen: set[Path]) -> list[str]:
    seen.add(path)
    try:
        text = path.read_text()
    except OSError as error:
        raise BpfError(f"cannot read {path}", cause=str(error.strerror)) from None
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        name = _INCLUDE.fullmatch(line.strip())
        if name is None:
            found.append(line)
        elif path.with_name(name[1]) not in seen:
            found += [f'#line 1 "{name[1]}"', *_lines(path.with_name(name[1]), seen)]
            found.append(f'#line {number + 1} "{path.name}"')
    return found
