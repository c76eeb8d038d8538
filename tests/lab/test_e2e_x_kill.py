"""A guest that dies shows. Last of the end-to-end tests: the lab has one guest less afterwards."""

from __future__ import annotations

import pytest
from tests_lab import Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]


def test_a_killed_guest_is_failed(lab: Lab) -> None:
    lab.lab("fault", "kill-guest", "legacy-4")

    def failed() -> bool:
        vms = {vm["name"]: vm for vm in lab.cli("vms", "list", "-o", "json").json}
        return bool(vms["legacy-4"]["phase"] == "Failed")

    until("legacy-4 is Failed", failed)
    assert next(g for g in lab.status()["guests"] if g["name"] == "legacy-4")["state"] == "dead"
