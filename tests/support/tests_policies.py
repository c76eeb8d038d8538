"""Policies on the lab in tests: applied as an operator does, asked of the agents, gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from tests_lab import STATE, Lab, until

from bascule.protocol.gen import agent_pb2 as pb
from bascule.protocol.gen import agent_pb2_grpc as rpc
from bascule_agent.netlink import in_netns
from bascule_kube import Cluster
from bascule_kube.errors import NotFound
from bascule_kube.kinds import KNOWN


class Policies:
    """Documents of one test: applied as an operator does, gone at its end."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.file = lab, directory / "policies.json"
        self._applied: list[dict[str, Any]] = []

    def write(self, *documents: dict[str, Any]) -> str:
        self.file.write_text("\n---\n".join(json.dumps(each) for each in documents))
        return str(self.file)

    def apply(self, *documents: dict[str, Any]) -> None:
        self._applied = [*documents, *self._applied]
        self.lab.cli("apply", "-f", self.write(*documents))

    def remove(self) -> None:
        async def act() -> None:
            async with await Cluster.open(STATE / "kubeconfig") as cluster:
                for each in sorted(self._applied, key=lambda one: one["kind"] == "Tier"):
                    meta = each["metadata"]
                    with contextlib.suppress(NotFound):
                        await cluster.delete(
                            KNOWN[each["apiVersion"], each["kind"]], meta["name"], meta.get("namespace")
                        )

        asyncio.run(act())

    def nic(self, vm: str) -> dict[str, Any]:
        """The VM's NIC as its node's agent reports it; {} while it does not."""

        async def ask(node: str) -> dict[str, Any]:
            async with await Cluster.open(STATE / "kubeconfig") as cluster:
                token = await cluster.bearer_token()
            async with grpc.aio.insecure_channel(f"unix:{STATE}/nodes/{node}/agent.sock") as channel:
                metadata = (("authorization", f"Bearer {token}"),)
                reply = await rpc.AgentStub(channel).Policies(pb.PoliciesRequest(), metadata=metadata)
            return next((nic for nic in json.loads(reply.json)["nics"] if nic["vm"] == vm), {})

        return asyncio.run(ask(self.lab.node_of(vm)))

    def in_force(self, vm: str, *refs: str) -> None:
        until(f"{refs} at {vm}", lambda: set(refs) == set(self.nic(vm).get("policies", ["?"])))

    def hits(self, vm: str, rule: str) -> int:
        return sum(each["packets"] for each in self.nic(vm)["rules"] if each["rule"] == rule)

    def some_in_force(self, vm: str) -> None:
        """Wait until the agent has any of the applied policies in force at the VM's NIC, and has left none waiting."""
        names = {each["metadata"]["name"] for each in self._applied}

        def there() -> bool:
            nic = self.nic(vm)
            return nic.get("state") == "in force" and any(p.rsplit("/", 1)[-1] in names for p in nic["policies"])

        until(f"the applied policies at {vm}", there)


@pytest.fixture
def policies(lab: Lab, tmp_path: Path) -> Iterator[Policies]:
    found = Policies(lab, tmp_path)
    try:
        yield found
    finally:
        found.remove()


def tcp(netns: str, address: str, port: int = 7) -> bool:
    """Does a connection come about? A reset is an answer too: policy in this lab drops in silence."""

    def go() -> bool:
        try:
            socket.create_connection((address, port), 1.5).close()
        except TimeoutError:
            return False
        except ConnectionRefusedError:
            pass
        return True

    return in_netns(netns, go)
