"""`policies import` as an operator runs it: exit codes, what stdout and the directory hold, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bascule_console.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples/old-firewall"
NSX = str(EXAMPLES / "nsx.json")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["policies", "import", *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("directory", ["nsx.json", "proxmox", "nwfilter"])
def test_the_examples_are_proven_and_written(
    directory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = EXAMPLES / directory
    files = [str(path) for path in sorted(place.iterdir())] if place.is_dir() else [str(place)]
    code, out, err = run(capsys, *files, "--prove", "-o", str(tmp_path / "out"), "--output", "json")
    assert code == 0 and "equal: " in err
    found = json.loads(out)
    assert found["proof"]["verdict"] == "equal" and found["rules"]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"tiers.yaml", "policies.yaml", "labels.yaml", "report.html", "report.json"} <= written
    text = (tmp_path / "out/policies.yaml").read_text()
    assert "&id" not in text, "people read these files"
    kinds = {document["kind"] for document in yaml.safe_load_all(text)}
    assert kinds == {"GlobalNetworkPolicy"}


def test_what_was_written_lints_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bascule.lint import lint

    run(capsys, NSX, "-o", str(tmp_path / "out"))
    documents: list[Any] = []
    for name in ("tiers", "sets", "policies"):
        documents += yaml.safe_load_all((tmp_path / "out" / f"{name}.yaml").read_text())
    assert [finding for finding in lint(documents) if finding.severity == "error"] == []


def test_staged_policies_decide_nothing_until_promoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bascule.policy.model import PolicySet

    code, _, err = run(capsys, NSX, "--staged", "-o", str(tmp_path / "out"))
    assert code == 0 and "promotes" in err
    documents: list[Any] = []
    for name in ("tiers", "sets", "policies"):
        documents += yaml.safe_load_all((tmp_path / "out" / f"{name}.yaml").read_text())
    policies = PolicySet.of(documents)
    assert not policies.refused and not any(tier.policies for tier in policies.tiers)
    run(capsys, NSX, "-o", str(tmp_path / "real"))
    real = list(yaml.safe_load_all((tmp_path / "real/policies.yaml").read_text()))
    assert sum(len(tier.policies) for tier in policies.with_staged().tiers) == len(real)


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("precious")
    code, _, err = run(capsys, NSX, "-o", str(tmp_path))
    assert code == 4 and "not empty" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gone.json",), "gone.json: cannot be read"),
        ((NSX, "--nad", "x"), "not SEGMENT=NAD"),
        ((NSX, "--nad", "nowhere=x"), "no such segment"),
        ((NSX, str(EXAMPLES / "proxmox/101.fw")), "different firewalls"),
    ],
)
def test_what_is_wrong_is_one_error(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err and err.startswith("error: ")


def test_what_is_not_proven_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(Path(NSX).read_text())
    document["virtual_network_interface"][0]["ip_address_info"] = []
    (tmp_path / "nsx.json").write_text(json.dumps(document))
    code, _, err = run(capsys, str(tmp_path / "nsx.json"), "--prove")
    assert code == 1 and "not proven: " in err
