"""What every tier shares: a tier that needs root or QEMU skips without it and says why in one line."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

# As the console has it (services/agents.py): here the agents' servers import grpc before it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
# How long an example takes is the machine's load, which no test may fail for (DESIGN section 8).
EXAMPLES = 200 if os.environ.get("BASCULE_LONG") else 40
settings.register_profile("bascule", max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bascule")

pytest_plugins = ["tests_lab"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run."""
    root = os.geteuid() == 0
    qemu = shutil.which("qemu-system-x86_64") is not None
    for item in items:
        if "root" in item.keywords and not root:
            item.add_marker(pytest.mark.skip(reason="needs root: it makes network namespaces"))
        if "qemu" in item.keywords and not (qemu and root):
            item.add_marker(pytest.mark.skip(reason="needs root and qemu-system-x86_64: it starts guests"))
