"""Plans as files: built from what was gathered, with the carried firewall rules plugged in, written whole or not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from bascule.errors import RefusedError, UsageError
from bascule.migration.options import Options
from bascule.migration.plan import Plan, PolicyStep, build
from bascule.migration.plan_document import as_dict, documents, read_plan
from bascule.migration.readiness import assess
from bascule.migration.world import World
from bascule.resources.read import dig, text, texts
from bascule_console.services.estate import estate_path, write_whole
from bascule_console.services.manifests import load
from bascule_console.services.readiness import read_bytes

LABELS = "labels.yaml"
PLAN = "plan.json"


def make(world: World, options: Options, policies: str) -> Plan:
    """The plan of a world. `policies` is a directory that `policies import -o` wrote, "" for none. Raises
    BasculeError."""
    return build(world, assess(world, ""), options, policy_step(policies) if policies else None)


def policy_step(directory: str) -> PolicyStep:
    """The files of "Carry the old firewall rules over", and its labels by VM. Raises UsageError."""
    place = Path(directory)
    paths = sorted(place.glob("*.yaml")) if place.is_dir() else []
    if not paths:
        fix = "bascule policies import FILE… -o DIR makes it"
        raise UsageError(f"{directory}: no policies", "it is no directory with .yaml files", fix)
    files, labels = [], {}
    for path in paths:
        found = load([str(path)])
        if path.name == LABELS:
            for each in found:
                own = texts(dig(each.object, "spec", "template", "metadata", "labels"))
                labels[text(dig(each.object, "metadata", "name"))] = own
        files.append((path.name, hashlib.sha256(read_bytes(str(path))).hexdigest()[:12], len(found)))
    return PolicyStep(tuple(files), labels)


def plan_path() -> Path:
    """Where a plan is kept: beside the imported estate."""
    return estate_path().with_name(PLAN)


def keep(plan: Plan, world: World) -> Path:
    """Keep a plan for `plan show` and `plan run`: with its objects, which a directory has as files."""
    found = documents(plan, {vm.key: vm for vm in world.vms})
    return write_whole(plan_path(), json.dumps({**as_dict(plan), "documents": found}, indent=1) + "\n")


def write(plan: Plan, world: World, directory: Path) -> list[Path]:
    """Write plan.json and the manifests into a new directory, all or nothing. Raises RefusedError when it exists and
    holds anything, UsageError when it cannot be written."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RefusedError(f"{directory} exists and is not empty", "nothing is overwritten", "name another directory")
    scratch = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        (scratch / PLAN).write_text(_json(plan))
        for name, found in documents(plan, {vm.key: vm for vm in world.vms}).items():
            (scratch / name).write_text(dump(found))
        scratch.chmod(0o755)
        os.replace(scratch, directory)
    except OSError as error:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        cause = error.strerror or str(error)
        raise UsageError(f"{directory}: cannot be written", cause, "name another directory") from error
    return sorted(directory.iterdir())


def read(path: str) -> dict[str, Any]:
    """A plan by its file or directory; "" for the one that was kept. Raises UsageError."""
    place = Path(path) if path else plan_path()
    if not path and not place.exists():
        raise UsageError("no plan was built", f"there is no {place}", "bascule plan build")
    place = place / PLAN if place.is_dir() else place
    return read_plan(str(place), read_bytes(str(place)))


def dump(found: Iterable[dict[str, Any]]) -> str:
    """Objects as YAML that people may edit: no aliases, ASCII only."""
    return yaml.dump_all(found, Dumper=_Plain, sort_keys=False, allow_unicode=False)


def _json(plan: Plan) -> str:
    return json.dumps(as_dict(plan), indent=1) + "\n"


class _Plain(yaml.CSafeDumper if hasattr(yaml, "CSafeDumper") else yaml.SafeDumper):  # type: ignore[misc]
    """libyaml's writer, where it is there, is ten times faster; it writes the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _lines(dumper: Any, text: str) -> Any:
    """Text of several lines as a block, which is how people write a NAD's config."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _lines)
