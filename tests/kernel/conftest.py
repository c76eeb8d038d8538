"""The kernel tier's own tests run in its guest only (python -m tests.kernel); elsewhere they skip in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.segments.conftest import EXISTING, Node, make_node

from bascule_agent.bpf.objects import mount_bpffs, unmount_bpffs
from bascule_agent.netlink import create_netns, delete_netns, quiet_sysctls

IN_GUEST = "BASCULE_TIER_LOG" in os.environ


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is not in the guest."""
    for item in items:
        if not IN_GUEST and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="runs in the kernel tier's guest: python -m tests.kernel"))


@pytest.fixture(scope="session")
def pins() -> Iterator[Path]:
    """The pins of the contract's first node, which the contract has built by then."""
    path = Path(f"/run/h11-bpf-{os.getpid()}")
    mount_bpffs(path)
    yield path / "h11-n1"
    unmount_bpffs(path)


@pytest.fixture
def node(pins: Path) -> Iterator[Node]:
    """A node with a trunk, its other end beside it, and a Network with existingBridge br0, which the test makes."""
    create_netns("h11-k")
    try:
        quiet_sysctls("h11-k")
        made = make_node("h11-k", "bare", pins)
        made.way = EXISTING
        made.netlink.add_veth("trunk0", "far0")
        yield made
        made.close()
    finally:
        delete_netns("h11-k")
