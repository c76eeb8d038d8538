"""What the lab's cluster holds before anybody applies anything: namespaces, nodes, the vantage point."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bascule.errors import UsageError
from bascule_kube import Cluster
from bascule_kube.kinds import NODE
from bascule_lab.config import LabConfig, node_management

Obj = dict[str, Any]
NAMESPACES = ("default", "kube-system", "bascule-system")


def node(name: str) -> Obj:
    """A Node, labelled as kubelet does."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "bascule.dev/stand-in": "node"},
        },
        "spec": {},
    }


def vantage_points(config: LabConfig) -> Obj:
    """The ConfigMap that names the gateway's probe point (docs/design/contracts.md section 3)."""
    point = {"target": f"unix:{config.state}/gateway/probe.sock", "kind": "gateway"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "vantage-points", "namespace": "bascule-system"},
        "data": {"gateway": json.dumps(point)},
    }


async def plant(cluster: Cluster, config: LabConfig, nodes: Sequence[str]) -> None:
    """Create the seeds in a new cluster."""
    for name in NAMESPACES:
        await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name in nodes:
        await cluster.create(node(name))
        addresses = [
            {"type": "InternalIP", "address": node_management(name)},
            {"type": "Hostname", "address": name},
        ]
        ready = {"type": "Ready", "status": "True", "reason": "LabNode", "message": "a network namespace of the lab"}
        status = {"status": {"addresses": addresses, "conditions": [ready]}}
        await cluster.merge_patch(NODE, name, status, subresource="status")
    await cluster.create(vantage_points(config))


def example(path: Path, guests: int | None) -> list[Obj]:
    """The example's documents, with only its first `guests` VirtualMachines."""
    try:
        documents = [d for d in yaml.safe_load_all(path.read_text()) if d]
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not readable as YAML", cause=str(error)) from error
    machines = [d for d in documents if d["kind"] == "VirtualMachine"]
    if guests is not None and guests > len(machines):
        raise UsageError(f"--guests {guests}: the example has {len(machines)} VMs", fix=f"at most {len(machines)}")
    wanted = machines if guests is None else machines[:guests]
    return [d for d in documents if d["kind"] != "VirtualMachine" or d in wanted]
