"""Bascule's own client (kubernetes.aio) against the lab's API: what agents and console really do."""

from __future__ import annotations

import asyncio

import pytest

from bascule_kube import Cluster
from bascule_kube.errors import Conflict, Invalid, NotFound
from bascule_kube.informer import Informer
from bascule_kube.kinds import KNOWN
from bascule_lab.apiserver.kubeconfig import write_kubeconfig

NODE, POD = KNOWN["v1", "Node"], KNOWN["v1", "Pod"]


@pytest.fixture
async def cluster(api):
    path = api.state / "h1-kubeconfig"
    ca = (api.state / "tls" / "ca.crt").read_text()
    write_kubeconfig(path, f"https://127.0.0.1:{api.port}", ca, {"lab-admin": api.tokens["admin"]}, "lab-admin")
    async with await Cluster.open(path) as opened:
        yield opened


def node(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


async def test_create_apply_patch_replace_delete(cluster):
    made = await cluster.create(node("n1"))
    assert await cluster.get(NODE, "n1") == made
    network = {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": {"name": "x"}}
    network["spec"] = {"l2Bridge": {"hostConfig": [{"bridge": {"managedBridge": {}}}], "vlans": [{"vlan": {"id": 5}}]}}
    applied, warnings = await cluster.apply(network)
    assert applied["metadata"]["generation"] == 1 and warnings == []
    network["spec"]["l2Bridge"]["vlans"] = [{"vlan": {"id": 0}}]
    with pytest.raises(Invalid, match="greater than or equal to 1"):
        await cluster.apply(network, dry_run=True)
    made["metadata"]["resourceVersion"] = "1"
    with pytest.raises(Conflict):
        await cluster.replace(made)
    await cluster.delete(NODE, "n1")
    with pytest.raises(NotFound):
        await cluster.get(NODE, "n1")


async def test_an_informer_follows_and_lists_anew_when_its_version_expired(api, cluster):
    await cluster.create(node("n1"))
    informer = Informer(cluster, NODE)
    informer.start()
    try:
        events = informer.events()
        seen = [await asyncio.wait_for(anext(events), 5)]
        await cluster.create(node("n2"))
        seen.append(await asyncio.wait_for(anext(events), 5))
        api.server.api.hub.close("nodes")
        store = api.server.api.store
        store.floor = store.rv
        await cluster.delete(NODE, "n1")
        store.floor = store.rv
        for _ in range(200):
            if len(informer.cache) == 1:
                break
            await asyncio.sleep(0.05)
        assert len(informer.cache) == 1 and len(seen) == 2
    finally:
        await informer.stop()
