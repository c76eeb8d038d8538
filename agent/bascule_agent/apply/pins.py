"""This version's pins, and the end of older ones."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import Objects, ensure

log = logging.getLogger("bascule_agent")


def open_pins(root: Path) -> Objects:
    """Open this version's pins, building them when they are not there (BpfError)."""
    before = time.monotonic()
    objects = ensure(layout.SOURCE, root, layout.defines(), layout.LAYOUT)
    log.info("pins at %s, %.0f ms", objects.pin_dir, (time.monotonic() - before) * 1e3)
    return objects


def remove_others(keep: Path) -> list[Path]:
    """Remove other versions' pins beside `keep`. Only once no filter runs their programs: the kernel would keep those,
    but nobody could find their maps any more."""
    others = [path for path in keep.parent.iterdir() if path.is_dir() and path != keep]
    for path in others:
        shutil.rmtree(path, ignore_errors=True)
        log.info("removed the pins of another version, %s", path)
    return others
