"""Where the run of a plan stands, by the plan and the journal; both are read again only when they changed, because a
page asks once a second while something runs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.errors import BasculeError
from bascule.migration.run import row
from bascule.migration.wizard_progress import Measured
from bascule_console.services import plan as plans
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.wizard.made import signed
from bascule_console.services.wizard.page_run import Stand

if TYPE_CHECKING:
    from bascule_console.services.run import Loaded

Key = tuple[tuple[str, int, int], ...]


class Standing:
    """The last stand and the plan that it is of. Safe to call from several threads."""

    def __init__(self) -> None:
        self._loaded: tuple[Key, Loaded] | None = None
        self._stand: tuple[tuple[Key, Key], Stand] | None = None
        self._lock = threading.Lock()

    def of(self, directory: str) -> Stand:
        """The stand of the plan in a directory, "" for the kept one; what cannot be read is in its error."""
        place = directory or str(plans.plan_path())
        with self._lock:
            key = signed([place]), signed([str(journal_path())])
            if self._stand is None or self._stand[0] != key:
                try:
                    self._stand = key, self._read(directory, place)
                except BasculeError as error:
                    self._stand = key, Stand(error=error)
            return self._stand[1]

    def loaded(self, directory: str) -> Loaded:
        """The plan in a directory, "" for the kept one. Raises UsageError."""
        with self._lock:
            return self._load(directory, directory or str(plans.plan_path()))

    def _load(self, directory: str, place: str) -> Loaded:
        from bascule_console.services.run import load  # the agents' client and the disks': not before a run

        key = signed([place])
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = key, load(directory)
        return self._loaded[1]

    def _read(self, directory: str, place: str) -> Stand:
        from bascule_console.services.run.ledger import read_deeds

        loaded = self._load(directory, place)
        deeds = read_deeds(Journal(journal_path()))
        rows = [row(vm, loaded.namespace, deeds.get(f"{loaded.namespace}/{vm['target']}", [])) for vm in loaded.vms]
        measured = Measured.of_deeds(each for found in deeds.values() for each in found)
        ordered = sorted((each for each in rows if each.wave), key=lambda each: (each.wave, each.target))
        return Stand(tuple(ordered), str(Path(place)), None, measured)
