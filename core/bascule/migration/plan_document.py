"""A plan as JSON, and as the files of a directory; the same plan is always the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bascule.estate.model import Vm
from bascule.migration.errors import MigrationInputError
from bascule.migration.forklift import forklift
from bascule.migration.manifests import virtual_machines
from bascule.migration.plan import FORMAT, Plan, VmPlan, claims
from bascule.migration.steps import steps_of
from bascule.resources.read import dig

Doc = dict[str, Any]


def as_dict(plan: Plan) -> Doc:
    """The JSON form."""
    return {
        "format": FORMAT,
        "sources": list(plan.sources),
        "options": asdict(plan.options),
        "segments": [asdict(segment) for segment in plan.networks.segments.values()],
        "trunks": list(plan.networks.trunks),
        "waves": [
            {"number": wave.number, "vms": len(wave.vms), "gib": wave.gib, "inside": wave.inside,
             "members": list(wave.vms), "crossing": [list(each) for each in wave.crossing]}
            for wave in plan.waves
        ],
        "vms": [_vm(vm) for vm in plan.vms],
        "claims": claims(plan),
        "policy": {"files": [list(each) for each in plan.policy.files]},
        "steps": [asdict(step) for step in steps_of(_ANY, plan.options.namespace)],
        "open": list(plan.open),
    }  # fmt: skip


_ANY = VmPlan("", "VM", "VM", 0, (), {}, ())


def _vm(vm: VmPlan) -> Doc:
    nics = [
        {"name": nic.name, "port_group": nic.port_group, "network": nic.network, "vlan": nic.vlan, "nad": nic.nad,
         "mac": nic.mac, "ip": nic.ip, "dropped": list(nic.dropped), "connected": nic.connected}
        for nic in vm.nics
    ]  # fmt: skip
    return {
        "key": vm.key,
        "name": vm.name,
        "target": vm.target,
        "wave": vm.wave,
        "nics": nics,
        "labels": dict(vm.labels),
        "held": list(vm.held),
    }


def documents(plan: Plan, vms: Mapping[str, Vm]) -> dict[str, list[Doc]]:
    """File name → the objects in it; files without any are left out."""
    found: dict[str, list[Doc]] = {"networks.yaml": [], "pools.yaml": [], "nads.yaml": []}
    files = {"Network": "networks.yaml", "IPPool": "pools.yaml", "NetworkAttachmentDefinition": "nads.yaml"}
    for document in plan.networks.documents:
        found[files[document["kind"]]].append(document)
    found["vms.yaml"] = virtual_machines(plan, vms)
    found["forklift.yaml"] = forklift(plan, vms, calico=False)
    found["forklift-calico.yaml"] = forklift(plan, vms, calico=True)
    return {name: content for name, content in found.items() if content}


def read_plan(name: str, data: bytes) -> Doc:
    """A plan.json that `bascule plan build` wrote. Raises MigrationInputError."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MigrationInputError(f"{name}: no plan", f"no JSON: {error}", "bascule plan build makes one") from None
    lists = ("segments", "trunks", "waves", "vms", "claims", "open", "sources")
    if dig(found, "format") != FORMAT or not all(isinstance(found.get(each), list) for each in lists):
        raise MigrationInputError(f"{name}: no plan", f"it is not {FORMAT}", "bascule plan build makes one")
    return dict(found)
