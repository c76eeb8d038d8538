"""A plan with the objects that it makes: from the plan that was kept, or from a directory whose files people edited."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.errors import UsageError
from bascule.migration.plan import NicPlan, VmPlan
from bascule.resources.read import dig, text
from bascule_console.services import plan as plans
from bascule_console.services.manifests import Document
from bascule_console.services.manifests import load as load_manifests

Doc = dict[str, Any]
NETWORK_FILES = ("networks.yaml", "pools.yaml", "nads.yaml")
VM_FILE = "vms.yaml"


@dataclass(frozen=True)
class Loaded:
    """`id` names the plan's content; `network` are Networks, pools and NADs; `machines` VirtualMachines by name."""

    id: str
    document: Doc
    network: tuple[Document, ...]
    machines: dict[str, Document]

    @property
    def namespace(self) -> str:
        """Where its VMs are made."""
        return str(self.document["options"]["namespace"])

    @property
    def vms(self) -> list[Doc]:
        """Every VM as the plan's JSON has it."""
        return list(self.document["vms"])

    def find(self, name: str) -> Doc:
        """A VM by its old or new name or its key. Raises UsageError."""
        found = [vm for vm in self.vms if name in (vm["name"], vm["target"], vm["key"])]
        if len(found) == 1:
            return found[0]
        if found:
            others = ", ".join(vm["target"] for vm in found)
            raise UsageError(f"{name!r} is more than one VM of the plan", others, "give its new name")
        raise UsageError(f"no VM {name!r} in the plan", fix="bascule plan show --list vms")


def planned(vm: Doc) -> VmPlan:
    """A VM of the plan's JSON as the core has it."""
    nics = tuple(NicPlan(**{**nic, "dropped": tuple(nic["dropped"])}) for nic in vm["nics"])
    return VmPlan(vm["key"], vm["name"], vm["target"], vm["wave"], nics, vm["labels"], tuple(vm["held"]))


def load(path: str = "") -> Loaded:
    """The plan in a file or directory, "" for the one that was kept. Raises UsageError when its objects are missing."""
    document = plans.read(path)
    place = Path(path) if path else plans.plan_path()
    held = document.pop("documents", None)
    folder = place if place.is_dir() else place.parent
    if held is None:
        files = {name: load_manifests([str(folder / name)]) for name in (*NETWORK_FILES, VM_FILE)
                 if (folder / name).exists()}  # fmt: skip
    else:
        files = {name: [Document(each, f"{place} ({name})", {}) for each in found] for name, found in held.items()}
    machines = {text(dig(each.object, "metadata", "name")): each for each in files.get(VM_FILE, ())}
    missing = [vm["target"] for vm in document["vms"] if vm["wave"] and vm["target"] not in machines]
    if missing:
        cause = f"{VM_FILE} has no VirtualMachine {missing[0]}"
        raise UsageError(f"{place}: the plan's objects are not with it", cause, "give the directory of plan build --to")
    network = tuple(each for name in NETWORK_FILES for each in files.get(name, ()))
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    return Loaded(digest, document, network, machines)
