"""CDI's documents as Bascule reads and writes them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.resources.cdi import Claim, DataVolume, UploadProxy, data_volume, quantity, token_request

UNITS: dict[str, Fraction] = {"": Fraction(1), "m": Fraction(1, 1000)}
UNITS |= {unit: Fraction(1000 ** (n + 1)) for n, unit in enumerate("kMGTPE")}
UNITS |= {f"{unit}i": Fraction(1024 ** (n + 1)) for n, unit in enumerate("KMGTPE")}


@given(st.integers(0, 10**9), st.integers(0, 999), st.sampled_from(sorted(UNITS)))
def test_a_quantity_is_its_number_times_its_unit_rounded_up(whole: int, thousandths: int, unit: str) -> None:
    exact = (whole + Fraction(thousandths, 1000)) * UNITS[unit]
    assert quantity(f"{whole}.{thousandths:03}{unit}") == -(-exact.numerator // exact.denominator)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10Gi", 10 << 30),
        ("1e3", 1000),
        ("12E", 12 * 10**18),
        ("5e-1", 1),
        (512, 512),
        ("", None),
        ("Gi", None),
        ("1 Gi", None),
        ("-1", None),
        ("1e9999", None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_quantities_by_example(text: Any, size: int | None) -> None:
    assert quantity(text) == size


@given(st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text())))
def test_any_value_reads_as_a_quantity_or_none(value: Any) -> None:
    found = quantity(value)
    assert found is None or found >= 0


def test_what_is_written_is_read_back_as_ours() -> None:
    made = data_volume("vms", "web-disk-0", 123456, "fast")
    assert made["spec"]["storage"]["storageClassName"] == "fast"
    read = DataVolume.of(made)
    assert (read.ours, read.uploads, read.requested, read.phase, read.trouble) == (True, True, 123456, "", "")
    assert "storageClassName" not in data_volume("vms", "a", 1)["spec"]["storage"]
    assert token_request("vms", "a")["spec"] == {"pvcName": "a"}


def test_trouble_is_what_the_conditions_say_against_it() -> None:
    conditions = [
        {"type": "Bound", "status": "False", "reason": "Pending", "message": "PVC a Pending"},
        {"type": "Ready", "status": "False", "reason": "TransferRunning"},
        {"type": "Running", "status": "False", "reason": "Error"},
    ]
    assert DataVolume.of({"status": {"conditions": conditions}}).trouble == "PVC a Pending; Error"


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("https://cdi.example.org", "https://cdi.example.org/v1beta1/upload"),
        ("cdi-uploadproxy-cdi.apps.example.org", "https://cdi-uploadproxy-cdi.apps.example.org/v1beta1/upload"),
        ("https://x:31001/", "https://x:31001/v1beta1/upload"),
        ("https://x/prefix", "https://x/prefix/v1beta1/upload"),
        ("https://x/v1beta1/upload", "https://x/v1beta1/upload"),
    ],
)
def test_the_proxys_url_as_an_ingress_a_route_or_an_operator_gives_it(said: str, url: str) -> None:
    found = UploadProxy.of({"status": {"uploadProxyURL": said}})
    assert found is not None and found.url == url and found.authority == ""


@pytest.mark.parametrize("config", [{}, {"status": {}}, {"status": {"uploadProxyURL": ""}}, {"status": []}])
def test_no_proxy_is_none(config: dict[str, Any]) -> None:
    assert UploadProxy.of(config) is None


def test_a_claim_says_whether_it_is_shared_and_whose_it_is() -> None:
    owner = {"kind": "DataVolume", "name": "a", "uid": "u"}
    claim = Claim.of(
        {
            "metadata": {"name": "a", "ownerReferences": [owner]},
            "spec": {"accessModes": ["ReadWriteOnce"]},
            "status": {"phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"}},
        }
    )
    assert (claim.shared, claim.owner, claim.capacity, claim.pod_phase) == (True, "a", 1 << 30, "")
    assert Claim.of({"spec": {"accessModes": ["ReadWriteOnce"]}}).shared is False
