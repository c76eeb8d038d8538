"""What must outlive the agent and has no place in the kernel: the names of rule ids, and the hits counted so far.

A file beside the socket. Names are written before rows with their ids are in force, so that an id never comes to mean
another rule; without the file, ids that stand in the kernel's rows are left unused.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import astuple
from pathlib import Path
from typing import Any

from bascule.policy.ids import RuleIds
from bascule.policy.layout import RuleName

log = logging.getLogger("bascule_agent")


class Memory:
    """One file. A file that cannot be read is as none; one that cannot be written is logged, once for each trouble."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = 0
        self._trouble = ""
        document = self._read()
        self.names: list[RuleName | None] = [_name(entry) for entry in document.get("names", [])]
        hits = document.get("hits")
        self.hits: dict[str, Any] = hits if isinstance(hits, dict) else {}

    def keep(self, rules: RuleIds) -> None:
        """Write the names if there are new ones."""
        names = rules.names
        if len(names) != self._kept:
            self.names, self._kept = list(names), len(names)
            self.write()

    def write(self) -> None:
        """Write everything, whole or not at all."""
        names = [None if name is None else astuple(name) for name in self.names]
        half = self._path.with_suffix(".new")
        try:
            half.write_text(json.dumps({"names": names, "hits": self.hits}, separators=(",", ":")))
            os.replace(half, self._path)
        except OSError as error:
            if str(error) != self._trouble:
                log.error("%s cannot be written: %s", self._path, error)
            self._trouble = str(error)

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s is not used: %s", self._path, error)
            return {}
        return document if isinstance(document, dict) else {}


def _name(entry: Any) -> RuleName | None:
    try:
        return RuleName(*entry)
    except TypeError:
        return None
