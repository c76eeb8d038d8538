"""Cluster and Informer against the lab's own API over TLS: the same semantics, met by a server that is not scripted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule_kube import Cluster, Informer
from bascule_kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from bascule_kube.kinds import CONFIGMAP, NAMESPACE, NETWORK, NODE, SELFSUBJECTACCESSREVIEW, TOKENREVIEW


def start(state: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bascule_lab.apiserver", "--state", str(state), *more]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None and b"serving" in process.stderr.readline()
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(10)
    assert process.stderr is not None
    process.stderr.close()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state = tmp_path_factory.mktemp("h2-api")
    process = start(state)
    yield state / "kubeconfig"
    end(process)


@pytest.fixture
async def live(api: Path) -> AsyncIterator[Cluster]:
    async with await Cluster.open(api) as cluster:
        yield cluster


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def network(name: str, vid: int) -> dict[str, Any]:
    config = [{"nodeSelector": "", "bridge": {"managedBridge": {}}}]
    return NETWORK.of(name) | {"spec": {"l2Bridge": {"hostConfig": config, "vlans": [{"vlan": {"id": vid}}]}}}


async def test_apply_creates_changes_and_refuses(live: Cluster) -> None:
    tried, _ = await live.apply(network("n1", 110), dry_run=True)
    assert tried["spec"]["l2Bridge"]["vlans"] == [{"vlan": {"id": 110}}]
    with pytest.raises(NotFound):
        await live.get(NETWORK, "n1")
    made, _ = await live.apply(network("n1", 110))
    changed, _ = await live.apply(network("n1", 120))
    assert changed["metadata"]["uid"] == made["metadata"]["uid"] and changed["metadata"]["generation"] == 2
    with pytest.raises(Invalid) as caught:
        await live.apply(network("n1", 4095), dry_run=True)
    assert any("vlan" in cause.field for cause in caught.value.causes)
    strange = network("n1", 110)
    strange["spec"]["l2Bridge"]["colour"] = "red"
    with pytest.raises(Invalid, match="colour"):
        await live.apply(strange, dry_run=True)


async def test_conflict_exists_and_rights(live: Cluster, api: Path) -> None:
    await live.create(NAMESPACE.of("ns"))
    one = await live.create(CONFIGMAP.of("a", "ns") | {"data": {"x": "1"}})
    with pytest.raises(AlreadyExists):
        await live.create(CONFIGMAP.of("a", "ns"))
    await live.merge_patch(CONFIGMAP, "a", {"data": {"x": "2"}}, "ns")
    with pytest.raises(Conflict):
        await live.replace(one)
    async with await Cluster.open(api, "lab-viewer") as viewer:
        assert (await viewer.get(CONFIGMAP, "a", "ns"))["data"] == {"x": "2"}
        with pytest.raises(Forbidden):
            await viewer.delete(CONFIGMAP, "a", "ns")
    assert (await live.delete(CONFIGMAP, "a", "ns"))["status"] == "Success"


async def test_reviews(live: Cluster, api: Path) -> None:
    review = {"apiVersion": TOKENREVIEW.api_version, "kind": TOKENREVIEW.kind}
    token = await live.bearer_token()
    answer = await live.create(review | {"spec": {"token": token}})
    assert answer["status"]["authenticated"] is True
    access = {"apiVersion": SELFSUBJECTACCESSREVIEW.api_version, "kind": SELFSUBJECTACCESSREVIEW.kind}
    attributes = {"resourceAttributes": {"verb": "delete", "group": NETWORK.group, "resource": NETWORK.plural}}
    async with await Cluster.open(api, "lab-viewer") as viewer:
        assert (await viewer.create(access | {"spec": attributes}))["status"]["allowed"] is False


async def test_a_wrong_token_is_unauthorized(api: Path, tmp_path: Path) -> None:
    broken = tmp_path / "kc"
    broken.write_text(api.read_text().replace("token: ", "token: wrong"))
    async with await Cluster.open(broken) as cluster:
        with pytest.raises(Unauthorized):
            await cluster.list(NODE)


async def test_pages_of_a_long_list(live: Cluster) -> None:
    await live.create(NAMESPACE.of("many"))
    for number in range(7):
        await live.create(CONFIGMAP.of(f"c{number}", "many"))
    first = await live.list_page(CONFIGMAP, "many", limit=3)
    assert len(first["items"]) == 3 and first["metadata"]["continue"]
    rest = await live.list_page(CONFIGMAP, "many", limit=9, continue_token=first["metadata"]["continue"])
    names = [item["metadata"]["name"] for item in (*first["items"], *rest["items"])]
    assert names == [f"c{number}" for number in range(7)]
    assert rest["items"][0]["kind"] == "ConfigMap"


async def test_the_informer_outlives_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    process = start(tmp_path)
    port = process_port(tmp_path)
    try:
        async with await Cluster.open(tmp_path / "kubeconfig") as cluster:
            await cluster.create(NAMESPACE.of("ns"))
            await cluster.create(CONFIGMAP.of("a", "ns"))
            informer = Informer(cluster, CONFIGMAP, "ns")
            informer.start()
            await until(lambda: ("ns", "a") in informer.cache)
            process.kill()
            process.wait(10)
            assert process.stderr is not None
            process.stderr.close()
            await until(lambda: informer.error is not None)
            process = start(tmp_path, "--port", port)
            await cluster.delete(CONFIGMAP, "a", "ns")
            await cluster.create(CONFIGMAP.of("b", "ns"))
            began = time.monotonic()
            await until(lambda: ("ns", "b") in informer.cache and ("ns", "a") not in informer.cache)
            assert informer.error is None and time.monotonic() - began < 10
            await informer.stop()
    finally:
        end(process)


def process_port(state: Path) -> str:
    import yaml

    server: str = yaml.safe_load((state / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"]
    return server.rpartition(":")[2]
