"""`estate`, `assess` and `plan` as an operator types them: files alone, no cluster, no Textual."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_rvtools import book, estate

from bascule_console.cli.main import main

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/estate"
DC1 = str(ROOT / "examples/dc1.yaml")
Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def run(capsys: Out, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_import_keeps_the_estate_and_show_shows_it(capsys: Out) -> None:
    assert run(capsys, "estate", "show")[0] == 2
    code, _, err = run(capsys, "estate", "import", str(EXAMPLES))
    assert code == 0 and "8 vms" in err
    code, out, _ = run(capsys, "estate", "show", "-o", "json")
    rows = json.loads(out)
    assert code == 0 and {row["name"] for row in rows} >= {"web-1", "router-1"}
    assert next(row for row in rows if row["name"] == "web-1")["nics"][0]["mac"] == "52:54:00:00:6e:01"
    assert "trunk 110,120" in run(capsys, "estate", "show", "--list", "port-groups")[1]
    assert "web-3" in run(capsys, "estate", "show", "--vm", "web-3")[1]
    assert run(capsys, "estate", "show", "--vm", "nobody")[0] == 2


def test_rows_that_were_left_out_are_named_and_exit_1(capsys: Out, tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    path.write_text("vm,mac,ip,vlan\na,52:54:00:00:00:01,10.0.0.1,110\nb,nonsense,10.0.0.2,110\n")
    code, out, _ = run(capsys, "estate", "import", str(path))
    assert code == 1 and "vms.csv:3" in out and "is no MAC address" in out
    assert "vms.csv:3" in run(capsys, "estate", "show", "--list", "rejected")[1]


@pytest.mark.parametrize("name", ["gone.xlsx", "empty.csv", "bomb.xml", "broken.xlsx", "broken.ova"])
def test_a_file_that_cannot_be_read_is_one_error(capsys: Out, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if not name.startswith("gone"):
        bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><domain/>'
        path.write_bytes({"empty": b"", "bomb": bomb}.get(path.stem, b"PK\x03\x04"))
    code, out, err = run(capsys, "estate", "import", str(path))
    assert code == 2 and out == "" and "Traceback" not in err
    assert err.startswith("error: ") and name in err


def test_assess_offline_with_answers_and_against_a_cluster(capsys: Out, tmp_path: Path) -> None:
    run(capsys, "estate", "import", str(EXAMPLES))
    asked = tmp_path / "ask.yaml"
    page = tmp_path / "report.html"
    code, out, _ = run(capsys, "assess", "-o", "json", "--questions", str(asked), "--html", str(page))
    old = json.loads(out)
    assert code == 1 and old["verdict"] == "error" and len(old["checks"]) >= 40
    assert page.read_text().startswith("<!DOCTYPE html>")
    answers = yaml.safe_load(asked.read_text())
    answers["checks"]["vrrp"]["answer"] = False
    answers["questions"]["observability"] = {"answer": True, "note": "audit"}
    answers["port_groups"] = {"legacy": 100}
    asked.write_text(yaml.safe_dump(answers))
    (tmp_path / "old.json").write_text(out)
    words = ("assess", "--answers", str(asked), "--cluster", DC1, "-o", "json", "--compare", str(tmp_path / "old.json"))
    code, out, _ = run(capsys, *words)
    new = json.loads(out)
    verdicts = {check["id"]: check["verdict"] for check in new["checks"]}
    assert verdicts["vrrp"] == "ok" and verdicts["vlan-in-network"] == "ok" and verdicts["name-free"] == "error"
    changes = {(row["change"], row["check"], row["object"]) for row in new["changes"]}
    assert ("solved", "vrrp", "estate") in changes and ("new", "name-free", "web-1") in changes
    assert "solved" in run(capsys, *words[:5], "--compare", str(tmp_path / "old.json"))[1]


def test_assess_in_every_format(capsys: Out) -> None:
    source = str(EXAMPLES / "vms.csv")
    table = run(capsys, "assess", source)[1]
    assert "nic-model" in table and "Is observability required?" in table
    lines = run(capsys, "assess", source, "-o", "csv")[1].splitlines()
    assert lines[0] == "check,verdict,of,evidence,fix" and len(lines) > 60
    assert "db-1 NIC 0" in run(capsys, "assess", source, "--only", "nic-model")[1]
    assert "web-1" in run(capsys, "assess", source, "--list", "vms")[1]


@pytest.mark.parametrize(
    ("option", "text"),
    [("--answers", "checks: {nope: yes}"), ("--answers", "a: [1"), ("--proofs", "{}"), ("--proofs", "[{}]"),
     ("--seen", "x"), ("--flows", "nothing"), ("--cluster", "no: object"), ("--compare", "{}")],
)  # fmt: skip
def test_a_wrong_input_is_one_error_that_names_it(capsys: Out, tmp_path: Path, option: str, text: str) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    code, _, err = run(capsys, "assess", str(EXAMPLES / "vms.csv"), option, str(path))
    assert code == 2 and "given.yaml" in err and "Traceback" not in err


def test_a_plan_from_files_alone(capsys: Out, tmp_path: Path) -> None:
    source, answers = tmp_path / "export.xlsx", tmp_path / "answers.yaml"
    source.write_bytes(book(estate(12)))
    answers.write_text("subnets: {110: {cidr: 10.110.0.0/24, gateway: 10.110.0.1}}\n")
    flows = tmp_path / "flows.csv"
    flows.write_text("src,dst,proto,port,bytes\n10.110.0.10,10.120.0.10,tcp,5432,9000\n")
    words = ("plan", "build", str(source), "--answers", str(answers), "--flows", str(flows), "--trunk", "trunk0",
             "--wave-vms", "5", "--label", "Application")  # fmt: skip
    code, out, err = run(capsys, *words, "--to", str(tmp_path / "one"))
    assert code == 0 and "12 VMs in 3 waves" in err and "open: VLAN 120" in err and "WAVE" in out
    assert run(capsys, *words, "--to", str(tmp_path / "two"))[0] == 0
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["forklift-calico.yaml", "forklift.yaml", "nads.yaml", "networks.yaml", "plan.json", "pools.yaml",
                     "vms.yaml"]  # fmt: skip
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "config: |-\n" in (tmp_path / "one/nads.yaml").read_text()
    assert run(capsys, *words, "--to", str(tmp_path / "two"))[0] == 4
    assert "app00000" in run(capsys, "plan", "show", str(tmp_path / "one"), "--wave", "1")[1]
    for what in ("waves", "segments", "vms", "claims", "trunks"):
        assert run(capsys, "plan", "show", "--list", what)[0] == 0
    steps = run(capsys, "plan", "show", "--vm", "app00000")[1]
    assert "10.110.0.10 (00:50:56:00:00:00) on VLAN 110 is silent" in steps
    assert run(capsys, "plan", "show", "--vm", "nobody")[0] == 2
    assert run(capsys, "plan", "show", "--wave", "99")[0] == 2
    assert run(capsys, *words, "--wave-vms", "0")[0] == 2


def test_carried_rules_plug_into_a_plan(capsys: Out, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    old = sorted(map(str, (ROOT / "examples/old-firewall/nwfilter").iterdir()))
    assert run(capsys, "policies", "import", *old, "-o", str(rules))[0] == 0
    code, out, err = run(capsys, "plan", "build", str(EXAMPLES / "vms.csv"), "--policies", str(rules), "-o", "json")
    document = json.loads(out)
    assert "no policies" not in err and {each[0] for each in document["policy"]["files"]} >= {"policies.yaml"}
    assert run(capsys, "plan", "build", str(EXAMPLES / "vms.csv"), "--policies", str(tmp_path / "none"))[0] == 2
    assert code in (0, 1)


def test_the_shipped_export_has_three_planted_problems_and_they_are_found(capsys: Out) -> None:
    out = run(capsys, "assess", str(EXAMPLES / "rvtools-csv"), "--list", "results")[1]
    lines = [line.split() for line in out.splitlines()]
    found = {(line[0], line[1], line[2]) for line in lines}
    assert ("mac-unique-estate", "error", "db-2") in found and ("guest-trunk", "error", "ids-1") in found
    assert ("ip-known", "unknown", "legacy-1") in found
    rows = json.loads(run(capsys, "plan", "build", str(EXAMPLES / "rvtools-csv"), "-o", "json")[1])["vms"]
    assert {row["name"] for row in rows if not row["wave"]} == {"db-1", "db-2", "ids-1", "legacy-1"}


async def test_a_live_cluster_is_looked_at_when_one_is_named(live: Any) -> None:
    await live.start(nodes=1)
    for document in yaml.safe_load_all(Path(DC1).read_text()):
        if document["kind"] in ("Network", "IPPool"):
            await live.put(document)
    code, out, err = await live.bascule("assess", str(EXAMPLES / "vms.csv"), "-o", "json")
    verdicts = {check["id"]: check["verdict"] for check in json.loads(out)["checks"]}
    assert code == 0 and "no cluster" not in err
    assert [verdicts[each] for each in ("vlan-in-network", "pool-there", "ip-in-pool", "name-free")] == ["ok"] * 4
    code, out, _ = await live.bascule("plan", "build", str(EXAMPLES / "vms.csv"), "-o", "json")
    segments = json.loads(out)["segments"]
    assert all(each["network_exists"] and each["vlan_exists"] for each in segments)
    assert [net["pool"] for each in segments for net in each["subnets"]] == [
        "dc1-vlan-100",
        "dc1-vlan-110",
        "dc1-vlan-120",
    ]


def test_importing_neither_verb_nor_service_loads_what_is_heavy() -> None:
    script = (
        "import sys\nfrom bascule_console.cli.main import main\nmain(['assess', '--help'])\n"
        "import bascule.estate.load, bascule.migration.plan, bascule_console.services.readiness\n"
        "heavy = {'pandas', 'numpy', 'textual', 'kubernetes', 'grpc', 'python_calamine'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
