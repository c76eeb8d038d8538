"""The command line's skeleton: what it loads, exit codes, signals, formats, and text that would drive a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bascule.errors import RefusedError, UnreachableError
from bascule_console.cli import lab, main, options
from bascule_console.cli.output import Column, write_rows
from bascule_console.services.credentials import choose

BASCULE = str(Path(sys.executable).with_name("bascule"))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster, no lab, no journal but what the test makes."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for name in ("HOME", "XDG_STATE_HOME", "BASCULE_LAB_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BASCULE, *arguments], capture_output=True, text=True, timeout=30, **more)


@pytest.mark.parametrize("line", ["--version", "--help", "apply --help", "journal list", "networks"])
def test_the_skeleton_loads_neither_textual_nor_kubernetes(line: str) -> None:
    arguments = line.split()
    code = (
        "import sys\nfrom bascule_console.cli.main import main\ncode = main(sys.argv[1:])\n"
        "heavy = {m.partition('.')[0] for m in sys.modules} & {'textual', 'kubernetes', 'grpc', 'aiohttp', 'numpy'}\n"
        "sys.exit(f'{heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == (2 if arguments == ["networks"] else 0), done.stderr
    if arguments == ["--version"]:
        assert done.stdout.startswith("bascule ") and done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["bogus"], 2, "no verb 'bogus'"),
        (["networks"], 2, "required"),
        (["networks", "list", "-o", "xml"], 2, "invalid choice"),
        (["networks", "list", "--colour"], 2, "unrecognized"),
        (["networks", "list"], 3, "no cluster to talk to"),
        (["--lab", "networks", "list"], 4, "no lab is running"),
        (["networks", "list", "--kubeconfig", "/nowhere"], 2, "no kubeconfig at /nowhere"),
        (["networks", "delete", "a", "--read-only"], 4, "read-only"),
        (["--read-only", "apply", "-f", "x"], 4, "read-only"),
        (["apply", "-f", "/nowhere.yaml"], 2, "cannot read /nowhere.yaml"),
    ],
)
def test_exit_codes_and_errors(arguments: list[str], code: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(arguments) == code
    out, err = capsys.readouterr()
    assert word in err and out == "" and "Traceback" not in err


def test_common_options_mean_the_same_before_and_after_the_verb() -> None:
    parser = options.VerbParser(prog="x")
    parser.add_subparsers(dest="verb").add_parser("v").add_subparsers(dest="w").add_parser("w")
    lines = (["-o", "json", "--lab", "v", "w"], ["v", "-o", "json", "w", "--lab"], ["v", "w", "-o", "json", "--lab"])
    found = [options.complete(parser.parse_args(line)) for line in lines]
    assert all(args == found[0] for args in found)
    assert (found[0].output, found[0].lab, found[0].kubeconfig, found[0].read_only) == ("json", True, None, False)


def test_a_fault_of_our_own_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: Any) -> None:
        raise ZeroDivisionError("ouch")

    monkeypatch.setattr(main, "_run", broken)
    assert main.main([]) == 1
    assert "a fault in bascule itself: ZeroDivisionError: ouch" in capsys.readouterr().err


def test_a_verb_that_is_not_built_in_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(main.VERBS, "later", main.Verb("later"))
    assert main.main(["later"]) == 2
    assert "this build of bascule has no 'later'" in capsys.readouterr().err


def test_lab_hands_over_with_its_arguments_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(lab.os, "execv", lambda *args: seen.append(args) or 0)
    with pytest.raises(TypeError):  # execv does not return in life
        lab_code: int = lab.run_raw(["exec", "web-1", "--", "ls", "-o", "x", "--lab"])  # type: ignore[func-returns-value]
        raise TypeError(lab_code)
    command = [sys.executable, "-m", "bascule_lab", "exec", "web-1", "--", "ls", "-o", "x", "--lab"]
    assert seen == [(sys.executable, command)]


def test_lab_status_without_a_lab_is_the_labs_own_answer() -> None:
    done = run("lab", "status", "-o", "json")
    assert done.returncode == 4 and "no lab is running" in done.stderr


def test_a_closed_pipe_ends_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([BASCULE, "--help"], stdout=writer, stderr=subprocess.PIPE, timeout=30)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        config = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        }
        path = tmp_path / "kc"
        path.write_text(yaml.safe_dump(config))
        command = [BASCULE, "networks", "list", "--kubeconfig", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        connection, _ = silent.accept()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        connection.close()
    assert (process.returncode, out, err) == (130, b"", b"")


ROWS = [{"name": "a\x1b[31m", "vlans": [1, 2], "more": "x"}, {"name": "b,\u202e\n", "vlans": [], "more": None}]
COLUMNS = (Column("name", "name"), Column("vlans", "vlans"), Column("more", lambda row: row["more"], wide=True))


def test_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for fmt in options.FORMATS:
        write_rows(ROWS, COLUMNS, fmt)
        said[fmt] = capsys.readouterr().out
    assert said["table"].splitlines()[0].split() == ["NAME", "VLANS"]
    assert said["wide"].splitlines()[0].split() == ["NAME", "VLANS", "MORE"]
    assert json.loads(said["json"]) == yaml.safe_load(said["yaml"]) == ROWS
    assert [json.loads(line) for line in said["jsonl"].splitlines()] == ROWS
    assert list(csv.reader(io.StringIO(said["csv"]))) == [
        ["name", "vlans", "more"],
        ["a\\x1b[31m", "1,2", "x"],
        ["b,\\u202e\\n", "", ""],
    ]
    assert [line.split() for line in said["table"].splitlines()[1:]] == [["a\\x1b[31m", "1,2"], ["b,\\u202e\\n"]]


def test_an_empty_list_is_empty_data(capsys: pytest.CaptureFixture[str]) -> None:
    for fmt, expected in (
        ("table", ""),
        ("json", "[]\n"),
        ("jsonl", ""),
        ("yaml", "[]\n"),
        ("csv", "name,vlans,more\n"),
    ):
        write_rows([], COLUMNS, fmt)
        out, err = capsys.readouterr()
        assert out == expected and (err == "nothing found\n") == (fmt == "table")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20), st.sampled_from(options.FORMATS))
def test_no_name_can_drive_the_terminal(capsys: pytest.CaptureFixture[str], name: str, fmt: str) -> None:
    write_rows([{"name": name, "vlans": [name]}], (Column("name", "name"), Column("vlans", "vlans")), fmt)
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    if fmt == "table":
        assert out.count("\n") == 2


def test_which_kubeconfig(tmp_path: Path) -> None:
    home, lab_dir = tmp_path / "home", tmp_path / "lab"
    (home / ".kube").mkdir(parents=True)
    lab_dir.mkdir()
    environ = {"BASCULE_LAB_DIR": str(lab_dir)}

    def chosen(kubeconfig: Path | None = None, of_lab: bool = False, **more: str) -> str:
        access = choose(kubeconfig, "ctx", of_lab, environ | more, home)
        assert access.context == "ctx"
        return access.source

    with pytest.raises(UnreachableError):
        chosen()
    with pytest.raises(RefusedError, match="no lab is running"):
        chosen(of_lab=True)
    (lab_dir / "kubeconfig").touch()
    assert chosen() == "the running lab"
    (home / ".kube" / "config").touch()
    assert chosen() == "~/.kube/config"
    assert chosen(KUBECONFIG="/a:/b") == "$KUBECONFIG"
    assert chosen(Path("/x"), KUBECONFIG="/a") == "--kubeconfig"
    assert chosen(Path("/x"), of_lab=True, KUBECONFIG="/a") == "the running lab"
