"""Which version of each Network this node runs: the last one that was confirmed, kept beside the one that was not.

A change that was taken back is not tried again by itself: the node goes on with what it had, for new ports too, until
the Network changes in something that concerns this node. Kept on disk, so that a restarted agent does not try it again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.network import Network
from bascule.trunks.change import Wish, fingerprint
from bascule.trunks.questions import config_of

log = logging.getLogger("bascule_agent")
Obj = dict[str, Any]


class Accepted:
    """`file` holds {network: {"accepted": document, "refused": {fingerprint, reason, message}}}."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            loaded = json.loads(file.read_text())
            self._kept = {name: dict(entry) for name, entry in loaded.items() if isinstance(entry, dict)}
        self._saved = json.dumps(self._kept)

    def effective(self, documents: Iterable[Obj], labels: Mapping[str, str]) -> list[Network]:
        """The Networks to plan with: for one whose present version was refused here, the accepted one, if any."""
        found = []
        for document in documents:
            network = Network.of(document)
            if self._is_refused(network, labels):
                before = self._kept[network.name].get("accepted")
                if before is None:
                    continue
                network = Network.of(before)
            found.append(network)
        return found

    def judge(
        self, outcomes: Iterable[NetworkOutcome], documents: Iterable[Obj], labels: Mapping[str, str]
    ) -> tuple[NetworkOutcome, ...]:
        """The outcomes, with the refusal in place of what the accepted version says."""
        refused = {}
        for network in map(Network.of, documents):
            if self._is_refused(network, labels):
                entry = self._kept[network.name]["refused"]
                refused[network.name] = NetworkOutcome(network.name, False, entry["reason"], entry["message"])
        kept = [outcome for outcome in outcomes if outcome.network not in refused]
        return tuple(sorted([*kept, *refused.values()]))

    def fresh(self, documents: Iterable[Obj], labels: Mapping[str, str]) -> list[Network]:
        """The Networks whose present version is neither accepted nor refused here yet."""
        return [
            network
            for network in map(Network.of, documents)
            if not self._is_refused(network, labels) and self._print(network, labels) != self._accepted(network, labels)
        ]

    def accept(self, documents: Iterable[Obj], labels: Mapping[str, str], ready: frozenset[str]) -> None:
        """These versions hold, as far as their Networks are ready and not refused; Networks that are gone go."""
        documents = [document for document in documents if document.get("metadata", {}).get("name")]
        names = {str(document["metadata"]["name"]) for document in documents}
        self._kept = {name: entry for name, entry in self._kept.items() if name in names}
        for document in documents:
            network = Network.of(document)
            if network.name in ready and not self._is_refused(network, labels):
                annotations = document["metadata"].get("annotations") or {}
                metadata = {"name": network.name, "annotations": dict(annotations)}
                self._kept[network.name] = {"accepted": {"metadata": metadata, "spec": document.get("spec")}}
        self._save()

    def refuse(self, networks: Iterable[Network], labels: Mapping[str, str], reason: str, message: str) -> None:
        """These versions were taken back, or never tried."""
        for network in networks:
            entry = self._kept.setdefault(network.name, {})
            words = f"{network.name}: {message}"
            entry["refused"] = {"fingerprint": self._print(network, labels), "reason": reason, "message": words}
        self._save()

    def wishes(self) -> dict[str, str]:
        """Network → the id of the wish (change.py) of its accepted version, "" for none."""
        kept = {name: entry["accepted"] for name, entry in self._kept.items() if "accepted" in entry}
        return {name: Wish.of(Network.of(document)).id for name, document in kept.items()}

    def forgive(self, name: str, reason: str) -> None:
        """A refusal of that kind may be tried again."""
        if self._kept.get(name, {}).get("refused", {}).get("reason") == reason:
            del self._kept[name]["refused"]

    def refusals(self, reason: str) -> list[str]:
        """The Networks refused for that reason."""
        return [name for name, entry in self._kept.items() if entry.get("refused", {}).get("reason") == reason]

    def _is_refused(self, network: Network, labels: Mapping[str, str]) -> bool:
        refused = self._kept.get(network.name, {}).get("refused")
        return refused is not None and refused["fingerprint"] == self._print(network, labels)

    def _accepted(self, network: Network, labels: Mapping[str, str]) -> str:
        document = self._kept.get(network.name, {}).get("accepted")
        return "" if document is None else self._print(Network.of(document), labels)

    def _print(self, network: Network, labels: Mapping[str, str]) -> str:
        return fingerprint(network, config_of(network, labels))

    def _save(self) -> None:
        text = json.dumps(self._kept)
        if text == self._saved:
            return
        new = self._file.with_name(self._file.name + ".new")
        try:
            new.write_text(text)
            os.replace(new, self._file)
            self._saved = text
        except OSError as error:
            log.warning(
                "%s cannot be written: %s; a restarted agent would try a refused change again", self._file, error
            )
