"""Import old firewall rules and write the result as files; no cluster is asked and none is changed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bascule.errors import RefusedError, UsageError
from bascule.translate import report
from bascule.translate.calico import Translation, translate
from bascule.translate.load import load
from bascule.translate.model import RuleBase
from bascule.translate.proof import Proof, prove


@dataclass(frozen=True)
class Imported:
    """`proof` is None when it was not asked for."""

    base: RuleBase
    translation: Translation
    proof: Proof | None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form (bascule.translate.report)."""
        return report.as_dict(self.base, self.translation, self.proof)


def run(paths: list[str], kind: str, nads: dict[str, str], namespace: str, proven: bool) -> Imported:
    """Read, translate and, when asked to, prove. Raises UsageError for files that cannot be read."""
    base = load([(Path(path).name, _read(path)) for path in paths], kind)
    known = {segment.id: segment.id for segment in base.segments} | {each.name: each.id for each in base.segments}
    for name in nads:
        if name not in known:
            listed = ", ".join(sorted(each.name for each in base.segments)) or "none"
            raise UsageError(f"--nad {name}: no such segment", f"the segments are {listed}", "--nad SEGMENT=NAD")
    translation = translate(base, {known[name]: nad for name, nad in nads.items()}, namespace)
    return Imported(base, translation, prove(base, translation) if proven else None)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read", error.strerror or str(error), "check the name") from error


def staged(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents with every policy as its staged twin: it decides nothing, and the editor shows what it would do."""
    found = []
    for document in documents:
        if document["kind"] == "GlobalNetworkPolicy":
            spec = {**document["spec"], "stagedAction": "Set"}
            document = {**document, "kind": "StagedGlobalNetworkPolicy", "spec": spec}
        found.append(document)
    return found


def write(found: Imported, directory: Path, as_staged: bool = False) -> list[Path]:
    """Write tiers.yaml, sets.yaml, policies.yaml, labels.yaml, report.json and report.html into a new directory.

    All or nothing: they are written beside it and moved into place. Raises RefusedError when it exists and holds
    anything, UsageError when it cannot be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RefusedError(f"{directory} exists and is not empty", "nothing is overwritten", "name another directory")
    scratch = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        for name, text in _files(found, as_staged).items():
            (scratch / name).write_text(text)
        scratch.chmod(0o755)
        os.replace(scratch, directory)
    except OSError as error:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        raise UsageError(
            f"{directory}: cannot be written", error.strerror or str(error), "name another directory"
        ) from error
    return sorted(directory.iterdir())


def _files(found: Imported, as_staged: bool) -> dict[str, str]:
    documents = found.translation.documents
    kinds = {"tiers.yaml": "Tier", "sets.yaml": "GlobalNetworkSet", "policies.yaml": "GlobalNetworkPolicy"}
    parts = {name: [each for each in documents if each["kind"] == kind] for name, kind in kinds.items()}
    files = {name: _yaml(staged(part) if as_staged else part) for name, part in parts.items()}
    files["labels.yaml"] = _yaml(list(found.translation.vms))
    files["report.json"] = json.dumps(found.as_dict(), indent=1) + "\n"
    files["report.html"] = report.html(found.base, found.translation, found.proof)
    return {name: text for name, text in files.items() if text}


def _yaml(documents: list[dict[str, Any]]) -> str:
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, allow_unicode=False) if documents else ""


class _Plain(yaml.SafeDumper):
    """Writes a value that stands twice in full: people read and edit these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
