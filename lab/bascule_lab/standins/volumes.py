"""The stand-in for storage: a claim's volume is a raw file on this machine, which every node sees.

That makes all of it shared storage; whether a claim may be written from two nodes is told by its access modes alone.
A volume that CDI fills has no file before it is filled, so a file means: there is something to boot from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Obj = dict[str, Any]
STORAGE_CLASS = "lab"
DIRECTORY = "volumes"


class Volumes:
    """The files of one lab's claims, by the claims' uids."""

    def __init__(self, state: Path) -> None:
        self._place = state / DIRECTORY

    def disk(self, claim: Obj) -> Path:
        """The volume's file, there or not."""
        return self._place / f"{claim['metadata']['uid']}.img"

    def scratch(self, claim: Obj, what: str) -> Path:
        """A file beside it that is not the volume yet; the directory is made."""
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._place / f"{claim['metadata']['uid']}.{what}"

    def filled(self, claim: Obj) -> bool:
        """Whether there is something on it."""
        return self.disk(claim).exists()

    def blank(self, claim: Obj, size: int) -> None:
        """An empty volume of `size` bytes, which takes no room; one that is there stays."""
        path = self.scratch(claim, "blank")
        with path.open("wb") as stream:
            stream.truncate(size)
        path.replace(self.disk(claim))

    def drop(self, claim: Obj) -> None:
        """Everything of the claim."""
        for path in self._place.glob(f"{claim['metadata']['uid']}.*"):
            path.unlink(missing_ok=True)
