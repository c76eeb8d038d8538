"""`bascule wizard --plain`: the whole walk from files to Review by a script, and whatever else may be typed."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule.errors import RefusedError
from bascule.migration.wizard import STEPS
from bascule_console.cli.main import main
from bascule_console.cli.wizard_walk import Walk
from bascule_console.services.credentials import Access
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.wizard import Wizard, state_path
from bascule_kube.kinds import NETWORK

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "examples/estate/rvtools-csv"
FIREWALL = sorted((ROOT / "examples/old-firewall/nwfilter").iterdir())
Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BASCULE_LAB_DIR", str(tmp_path / "nolab"))
    monkeypatch.delenv("KUBECONFIG", raising=False)


async def talk(wizard: Wizard, *lines: str) -> str:
    """What is printed for these lines."""
    out, given = io.StringIO(), iter(lines)

    async def line(prompt: str) -> str | None:
        return next(given, None)

    try:
        assert await Walk(wizard, line, out).walk() == 0
    finally:
        await wizard.close()
    return out.getvalue()


def walked(*lines: str) -> str:
    """What a fresh process without a cluster would print for these lines."""
    return asyncio.run(talk(Wizard.open(), *lines))


def kept() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(state_path().read_text())
    return document


def to_review(tmp_path: Path) -> Sequence[str]:
    """From the shipped export to Review, with questions answered on every page."""
    flows = tmp_path / "flows.csv"
    flows.write_text("src,dst,proto,port,bytes\n10.110.0.10,10.120.0.10,tcp,5432,9000\n")
    return (
        f"set files {BOOK}",
        "next",
        "set question.observability yes",
        "set check.vrrp no",
        f"set flows {flows}",
        "next",
        "set trunk ens2f1",
        "set subnet.110 10.110.0.0/24 10.110.0.1",
        "next",
        "set take db-1",
        "set labels Application",
        "next",
        "set how files",
        f"set policies.files {' '.join(map(str, FIREWALL))}",
        "next",
        "set vms 2",
        "next",
    )


def test_from_files_alone_to_review_and_run_says_what_is_missing(tmp_path: Path) -> None:
    out = walked(*to_review(tmp_path), f"set to {tmp_path / 'plan'}", "do write", "next", "show diff", "next")
    titles = re.findall(r"^Step (\d) of 9: (\w+) - ", out, re.MULTILINE)
    assert [int(at) for at, _ in titles] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "10.110.0.0/24" in out and "your answer" in out and "assumed from the VMs' addresses" in out
    assert "16 objects, equal" in out and "create VirtualMachine/vms/web-1" in out
    assert f"wrote 7 files to {tmp_path / 'plan'}" in out
    assert "error: no cluster to run on" in out and "error: no hypervisor to take the VMs from" in out
    assert "error: no VM was moved yet" in out and "end of the input: saved" in out
    assert kept()["step"] == "run"
    for step in STEPS[:8]:
        words = out.split(f"Step {STEPS.index(step) + 1} of 9")[1]
        assert words.index("\nNext") > 0 and words.index("\nBack") > 0


def test_the_plan_is_byte_for_byte_the_one_of_plan_build(tmp_path: Path, capsys: Out) -> None:
    walked(*to_review(tmp_path), f"set to {tmp_path / 'one'}", "do write")
    rules, answers = tmp_path / "rules", tmp_path / "answers.yaml"
    assert main(["policies", "import", *map(str, FIREWALL), "--prove", "--namespace", "vms", "-o", str(rules)]) == 0
    answers.write_text(
        "questions: {observability: yes}\nchecks: {vrrp: no}\n"
        "subnets: {110: {cidr: 10.110.0.0/24, gateway: 10.110.0.1}}\n"
    )
    words = ("plan", "build", str(BOOK), "--answers", str(answers), "--flows", str(tmp_path / "flows.csv"), "--trunk",
             "ens2f1", "--take", "db-1", "--label", "Application", "--wave-vms", "2", "--policies", str(rules),
             "--to", str(tmp_path / "two"))  # fmt: skip
    assert main(list(words)) == 1
    names = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "one").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_walk_goes_on_where_it_ended_and_back_keeps_answers(tmp_path: Path) -> None:
    walked(*to_review(tmp_path)[:8])
    assert kept()["step"] == "networks"
    out = walked("back", "back", "next", "next", "steps", "quit")
    assert out.startswith("\nStep 3 of 9: Networks") and "Subnet of VLAN 110: 10.110.0.0/24 10.110.0.1" in out
    assert kept()["answers"]["assess.check.vrrp"] == "no" and kept()["reached"] == "networks"
    assert "  4. identity: not yet" in out


def test_what_depends_on_a_changed_answer_is_made_anew_and_said(tmp_path: Path) -> None:
    walked(*to_review(tmp_path), "next")
    out = walked("go waves", "set vms 1", "set identity.take", "next")
    assert "changed at review: manifests were made anew: 3 waves, 3 VMs (before: 2 waves, 3 VMs)" in out
    assert "changed at waves: waves were planned anew: 2 waves, 2 VMs (before: 3 waves, 3 VMs)" in out
    assert "Changed: manifests were made anew: 2 waves, 2 VMs (before: 2 waves, 3 VMs)" in out
    assert "changed at" not in walked("set to /tmp/nowhere")


def test_every_bad_answer_is_one_line_and_the_question_again(tmp_path: Path) -> None:
    out = walked("1", "'open", "", "go waves", "fly", "set 9 x", "set 2 nonsense", "show 99", "do nothing", "apply",
                 "next", "set 1 /nowhere/at.all", "next", "go", "set", "do", "show diff")  # fmt: skip
    errors = [line for line in out.splitlines() if line.startswith("error: ")]
    assert len(errors) == 13 and "Traceback" not in out
    assert out.count("1. Files or folders of the old side") >= 3
    assert "/nowhere/at.all: cannot be read" in out


def test_a_password_never_gets_into_the_state() -> None:
    out = walked("set live esx://root:hunter2@old.example/")
    assert "a password does not belong in a URI" in out
    assert "hunter2" not in out.replace("esx://root:hunter2", "")
    walked("quit")
    assert not state_path().exists() or "hunter2" not in state_path().read_text()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "bascule-wizard/9"}', "\x00\xff"])
def test_a_state_that_cannot_be_read_is_one_error_and_kept_aside(content: str, capsys: Out) -> None:
    state_path().parent.mkdir(parents=True)
    state_path().write_text(content)
    code = main(["wizard", "--plain"])
    err = capsys.readouterr().err
    assert code == 2 and err.count("error: ") == 1 and "wizard.json.unreadable" in err and "Traceback" not in err
    assert state_path().with_name("wizard.json.unreadable").read_text() == content
    assert "nothing read yet" in walked()


def test_the_verb_reads_a_pipe_and_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    script = tmp_path / "script"
    script.write_bytes(f"set 1 {BOOK}\r\nnext\n\xff".encode("latin-1"))
    with script.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["wizard", "--plain"]) == 0
    out = capsys.readouterr().out
    assert "Step 2 of 9" in out and "\x1b" not in out and "> " not in out
    script.write_text("quit\n")
    with script.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["wizard", "--plain", "--restart"]) == 0
    assert "nothing read yet" in capsys.readouterr().out
    assert "rvtools-csv" in state_path().with_name("wizard.json.before").read_text()


async def test_an_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    """Also while it waits for a line that never comes."""
    process = await asyncio.create_subprocess_exec(
        str(ROOT / ".venv/bin/bascule"), "wizard", "--plain",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    process.stdin.write(b"steps\npart of a li")
    while not (await process.stdout.readline()).startswith(b"  9. accept"):
        pass
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130 and b"Traceback" not in err


def test_names_from_outside_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "vms.csv"
    path.write_text("vm,mac,ip,vlan\n\x1b[2Jevil,52:54:00:00:00:01,10.0.0.1,110\n")
    out = walked(f"set 1 {path}", "next", "next", "next", "show 1")
    assert "evil" in out and "\x1b" not in out


def test_a_question_is_named_by_its_short_name_though_a_step_is_called_so(tmp_path: Path) -> None:
    walked(*to_review(tmp_path), "next")
    out = walked("set source qemu:///system", "set waves.gib 7", "set cluster current", "set assess.cluster current")
    assert "Hypervisor that has the VMs now: qemu:///system" in out and "GiB of disks in one wave: 7" in out
    assert kept()["answers"]["run.source"] == "qemu:///system" and kept()["answers"]["waves.gib"] == "7"
    assert "error: no question 'cluster'" in out and "error: Cluster to look at: 'current' is none of" in out


def test_a_source_that_goes_away_is_told_on_its_page(tmp_path: Path) -> None:
    copy = tmp_path / "book"
    shutil.copytree(BOOK, copy)
    walked(f"set 1 {copy}", "next", "next")
    shutil.rmtree(copy)
    out = walked("next", "go source", "set 1", "next")
    assert "error: there is nothing to plan yet: go back to Source" in out and "cannot be read" in out
    assert "Traceback" not in out


words = st.sampled_from(
    ["next", "back", "go", "show", "set", "do", "apply", "steps", "wait", "help", "diff", "write", "start", "rollback",
     "1", "2", "3", "99", "-1", "yes", "no", "files", "waves", "source", "accept", "web-1", "'", "x" * 50, "٣", "\x1b["]
)  # fmt: skip
typed = st.one_of(
    st.lists(words, max_size=4).map(" ".join), st.text(max_size=20).map(lambda text: text.replace("\n", " "))
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(typed, max_size=12), read=st.booleans())
def test_whatever_is_typed_nothing_breaks(lines: list[str], read: bool) -> None:
    out = walked(*([f"set files {BOOK}", "next"] if read else []), *lines, "quit")
    assert "Traceback" not in out and "\x1b" not in out


async def test_on_a_cluster_review_tries_applies_and_journals(live: Any) -> None:
    await live.start(nodes=1)
    for document in yaml.safe_load_all((ROOT / "examples/dc1.yaml").read_text()):
        if document["kind"] == "Network":
            document["spec"]["l2Bridge"]["vlans"] = document["spec"]["l2Bridge"]["vlans"][:1]
            await live.put(document)
    lines = (f"set 1 {BOOK}", *["next"] * 6, "do try", "do apply", "yes", "show", "next")
    text = await talk(Wizard.open(Access(live.kubeconfig, None, "--kubeconfig")), *lines)
    assert "nothing did" in text and re.search(r"applied \d+ objects; each is in the journal", text)
    after = text.split("each is in the journal")[-1]
    assert "Review - 0 objects, 2 VirtualMachines" in after and "create VirtualMachine/vms/web-1" in after
    (network,) = await live.cluster.list(NETWORK)
    assert {110, 120} <= {entry["vlan"]["id"] for entry in network["spec"]["l2Bridge"]["vlans"]}
    whats = {record.content["what"] for record in Journal(journal_path()).records()}
    assert whats == {"wizard"} and "error: no hypervisor" in after


async def test_read_only_refuses_to_apply_and_says_so_once(live: Any) -> None:
    await live.start(nodes=1)

    def guard(what: str) -> None:
        raise RefusedError(f"refused to {what}", "the session is read-only")

    wizard = Wizard.open(Access(live.kubeconfig, None, "--kubeconfig"), guard=guard)
    text = await talk(wizard, f"set 1 {BOOK}", *["next"] * 6, "do apply", "yes")
    assert "error: refused to apply what the wizard planned; the session is read-only" in text
    assert await live.cluster.list(NETWORK) == []
