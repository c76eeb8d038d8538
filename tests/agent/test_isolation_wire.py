"""Who reaches whom over the trunk, and what the wire and the guests see of it. Witnesses: ping and raw sockets."""

from __future__ import annotations

import time

import pytest
from tests.agent.conftest import BROADCAST, NATIVE, arp, frame, ipv4, tag

pytestmark = pytest.mark.root
NOBODY = "52:54:00:00:99:99"


def test_placeholder(bed, vms):
    assert vms["a1"].ping(vms["a2"].ip)
