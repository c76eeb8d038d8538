"""`plan accept` as an operator types it: captures, recordings and lists of before and after, no cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dpkt
import numpy as np
import pytest

from bascule.estate.load import load as load_estate
from bascule.flows.ledger import Ledger
from bascule.flows.record import ALLOW, DENY, RECORD
from bascule.flows.store import Batch
from bascule.flows.surroundings import Surroundings
from bascule.migration.machine import APPLY, CHECK, VERIFY
from bascule.migration.options import Options
from bascule.migration.run import ACCEPTED, INTENT, STEPS, Deed, row
from bascule.migration.target import Target
from bascule.migration.world import World
from bascule_console.cli.main import main
from bascule_console.services import acceptance, plan
from bascule_console.services.flowfile import FlowWriter
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.run.ledger import read_deeds, write_deed
from bascule_console.services.run.loaded import load

Out = pytest.CaptureFixture[str]
S = 10**9
T0 = 1_795_435_200 * S  # 2026-11-23 12:00:00 UTC
HOUR = 3600 * S
STARTED = "2026-11-23T15:00:00Z"
START = T0 + 3 * HOUR
SERVER = "https://10.0.0.1:6443"
VMS = "vm,power,mac,ip,portgroup,vlan,subnet,gateway,cpus,memory_mib\n" + "".join(
    f"{name},on,52:54:00:00:6e:{number:02x},10.110.0.{number},web,110,10.110.0.0/24,10.110.0.1,1,64\n"
    for name, number in (("web-1", 31), ("web-2", 32))
)


@pytest.fixture(autouse=True)
def moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Journal:
    """A plan of two VMs in one wave; the journal says that both were moved at STARTED."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    world = World(load_estate([("vms.csv", VMS.encode())]), Target((), known=False))
    made = plan.make(world, Options(trunk="ens1", take=("web-1", "web-2")), "")
    plan.keep(made, world)
    loaded, journal = load(), Journal(journal_path(), "prod", SERVER)
    for vm in loaded.vms:
        assert vm["wave"] == 1
        for step in STEPS:
            for action in (CHECK, INTENT, APPLY, VERIFY):
                who = (loaded.id, vm["key"], loaded.namespace, vm["target"], vm["wave"])
                write_deed(journal, Deed(*who, step, action, True, {}, STARTED))
    return journal


def run(capsys: Out, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["plan", "accept", *words])
    out, err = capsys.readouterr()
    return code, out, err


def capture(path: Path, flows: list[tuple[str, str, int, int, int, int]]) -> str:
    """A pcap of TCP conversations, (client, server, port, first, last, every) in ns: SYN, SYN-ACK, then both talk."""
    frames = []
    for number, (client, server, port, first, last, every) in enumerate(flows):
        source = 40000 + number
        for at in range(first, last + 1, every):
            begin = at == first
            frames.append((at, _tcp(client, server, source, port, 0x02 if begin else 0x18)))
            frames.append((at + 1_000_000, _tcp(server, client, port, source, 0x12 if begin else 0x18)))
    with path.open("wb") as stream:
        writer = dpkt.pcap.Writer(stream)
        for at, frame in sorted(frames):
            writer.writepkt(frame, at / S)
    return str(path)


def _tcp(src: str, dst: str, sport: int, dport: int, flags: int) -> bytes:
    ends = [bytes(map(int, each.split("."))) for each in (src, dst)]
    segment = dpkt.tcp.TCP(sport=sport, dport=dport, flags=flags, data=b"" if flags & 2 else b"x")
    packet = dpkt.ip.IP(src=ends[0], dst=ends[1], p=6, data=segment, len=20 + len(segment))
    return bytes(dpkt.ethernet.Ethernet(src=b"\x02" * 6, dst=b"\x04" * 6, type=0x0800, data=packet))


def recording(path: Path, flows: list[tuple[str, str, int, int, int, int]], verdict: int = ALLOW) -> str:
    """A recording of `flows record`, as agents' ports see it: both directions, with verdicts."""
    made = np.zeros(2 * len(flows), RECORD)
    for number, (client, server, port, first, last, _) in enumerate(flows):
        for way in (0, 1):
            one = made[2 * number + way]
            ends = ((client, 40000 + number), (server, port))
            for name, (ip, at) in zip(("src", "dst"), ends if not way else ends[::-1], strict=True):
                one[f"{name}_ip"], one[f"{name}_port"] = list(map(int, ip.split("."))), at
            one["ethertype"], one["proto"], one["ifindex"], one["direction"] = 0x0800, 6, 7, way
            one["verdict"], one["packets"], one["bytes"], one["flags"] = verdict, 5, 500, 0x1A
            one["first"], one["last"] = first + way, last
    writer = FlowWriter(path, Surroundings())
    writer.add_flows(Batch("node1", int(made["last"].max()), made, (), Ledger(10 * len(flows), 10 * len(flows))))
    writer.close()
    return str(path)


CLIENT, BACKUP = "10.110.0.11", "10.110.0.99"
EARLY = [
    (CLIENT, "10.110.0.31", 443, T0 + 5 * S, T0 + 2 * HOUR, 60 * S),
    (BACKUP, "10.110.0.31", 22, T0 + 60 * S, T0 + 2 * HOUR, 300 * S),
    ("10.110.0.31", "10.110.0.32", 5432, T0 + 9 * S, T0 + 2 * HOUR, 60 * S),
]
LATE = [
    (CLIENT, "10.110.0.31", 443, START + 5 * S, START + HOUR, 60 * S),
    ("10.110.0.31", "10.110.0.32", 5432, START + 9 * S, START + HOUR, 60 * S),
    ("10.110.0.31", "10.9.9.9", 53, START + 99 * S, START + HOUR, 60 * S),
]


def test_what_stopped_refuses_until_it_has_a_word(capsys: Out, tmp_path: Path, moved: Journal) -> None:
    files = ("--before", capture(tmp_path / "old.pcap", EARLY), "--after", recording(tmp_path / "new.flows", LATE))
    code, out, err = run(capsys, "web-1", *files)
    assert code == 4 and "web-1 is not accepted: 10.110.0.99 stopped talking" in err
    assert f"--accept-missing {BACKUP}:22" in err and "1 stopped, 0 not comparable, 1 new, 2 kept" in err
    lines = {row[3]: row for row in (line.split() for line in out.splitlines()[1:])}
    assert lines[f"{BACKUP}:22"][1] == "stopped" and lines["10.9.9.9:53"][1] == "new"
    assert lines["10.110.0.32:5432"][1:3] == ["kept", "web-2"], "a peer of the plan has its name"
    assert lines["10.110.0.32:5432"][5] == "vm", "who opened it"
    assert lines[f"{CLIENT}:443"][5] == "peer/?", "a connection as old as the recording"
    assert row(load().find("web-1"), "vms", read_deeds(moved)["vms/web-1"]).state == "moved", "nothing was signed"
    assert run(capsys, "web-1", "--look", *files)[0] == 1
    assert run(capsys, "web-1", *files, "--accept-missing", "10.9.9.9:53")[0] == 4, "that is not what stopped"

    code, out, err = run(capsys, "web-1", *files, "--accept-missing", f"{BACKUP}:22", "--note", "CHG-7", "-o", "json")
    signed = json.loads(out)
    assert code == 0 and "accepted by" in err and signed["format"] == "bascule-acceptance/1"
    assert (signed["note"], signed["accepted_missing"]) == ("CHG-7", [f"web-1/{BACKUP}:22"])
    assert signed["totals"] == {"stopped": 1, "not comparable": 0, "new": 1, "kept": 2}
    assert signed["vms"][0]["before"]["since"].startswith("2026-11-23T12:00:05")
    kept = json.loads(Path(signed["file"]).read_bytes())
    assert {**kept, "file": signed["file"]} == signed
    deeds = read_deeds(moved)["vms/web-1"]
    assert row(load().find("web-1"), "vms", deeds).state == ACCEPTED
    assert deeds[-1].evidence["accepted_missing"] == [f"web-1/{BACKUP}:22"] and deeds[-1].evidence["note"] == "CHG-7"
    assert main(["journal", "verify"]) == 0
    assert run(capsys, "web-1", *files, "--reason", "again")[0] == 4, "once is enough"


def test_a_wave_is_signed_without_those_that_were_signed(capsys: Out, tmp_path: Path, moved: Journal) -> None:
    files = ("--before", capture(tmp_path / "old.pcap", EARLY), "--after", capture(tmp_path / "new.pcap", LATE))
    assert run(capsys, "web-2", *files)[0] == 0, "nothing of it stopped"
    code, out, _ = run(capsys, "--wave", "1", *files, "--reason", "the backup server retired", "-o", "json")
    assert code == 0 and [vm["name"] for vm in json.loads(out)["vms"]] == ["web-1"]
    code, _, err = run(capsys, "--wave", "1", *files)
    assert code == 4 and "accepted already" in err
    assert run(capsys, "--wave", "1", "--look", *files)[0] == 1, "looking again is allowed"


def test_what_policy_refuses_is_not_kept(capsys: Out, tmp_path: Path) -> None:
    before = capture(tmp_path / "old.pcap", EARLY[:1])
    after = recording(tmp_path / "new.flows", LATE[:1], DENY)
    code, out, _ = run(capsys, "web-1", "--look", "--before", before, "--after", after)
    assert code == 1 and "refused: 10 frames did not pass" in out


def test_short_windows_are_said_with_figures(capsys: Out, tmp_path: Path) -> None:
    soon = [(CLIENT, "10.110.0.31", 80, START + 2 * S, START + 120 * S, 10 * S)]
    files = ("--before", capture(tmp_path / "old.pcap", EARLY), "--after", capture(tmp_path / "new.pcap", soon))
    code, out, _ = run(capsys, "web-1", "--look", *files)
    assert code == 0 and "after it are only 110 s of 10 min needed" in out
    assert run(capsys, "web-1", "--look", *files, "--enough-after", "1m")[0] == 1
    code, _, err = run(capsys, "web-1", "--look", *files, "--enough-after", "soon")
    assert code == 2 and "--enough-after 10m" in err


def test_a_list_of_the_old_switch_is_enough_for_before(capsys: Out, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text(
        f"src,dst,proto,port,bytes\n{CLIENT},10.110.0.31,tcp,443,9\n{BACKUP},10.110.0.31,tcp,22,9\nx,y,tcp,1,1\n"
    )
    code, out, err = run(
        capsys, "web-1", "--look", "--before", str(path), "--after", capture(tmp_path / "n.pcap", LATE)
    )
    lines = {row[3]: row[1] for row in (line.split() for line in out.splitlines()[1:])}
    assert code == 1 and (lines[f"{CLIENT}:443"], lines[f"{BACKUP}:22"]) == ("kept", "stopped")
    assert "old.csv does not tell when" in err and "left out: old.csv:4" in err
    assert "is not known, so it need not be new" in out


def test_one_recording_of_the_whole_time_serves_both(capsys: Out, tmp_path: Path) -> None:
    over = (CLIENT, "10.110.0.31", 8443, START - HOUR, START + HOUR, 60 * S)
    path = recording(tmp_path / "all.flows", [*EARLY, *LATE, over])
    code, out, err = run(capsys, "web-1", "--look", "--before", path, "--after", path)
    lines = {row[3]: row[1] for row in (line.split() for line in out.splitlines()[1:])}
    assert code == 1 and "2 flows went on over the move" in err
    assert {name: status for name, status in lines.items() if status != "kept"} == {
        f"{BACKUP}:22": "stopped",
        "10.9.9.9:53": "new",
    }


def test_one_page_tells_it(capsys: Out, tmp_path: Path) -> None:
    page = tmp_path / "acceptance.html"
    files = ("--before", capture(tmp_path / "old.pcap", EARLY), "--after", capture(tmp_path / "new.pcap", LATE))
    run(capsys, "--wave", "1", "--look", *files, "--html", str(page))
    text = page.read_text()
    assert "1 stopped" in text and f"{BACKUP}:22" in text and "web-2 (10.110.0.32)" in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["web-9"], 2, "no VM 'web-9'"),
        (["--wave", "7"], 2, "no wave 7"),
        ([], 2, "accept what?"),
        (["web-1", "--before", "/no/such/file"], 2, "cannot read /no/such/file"),
    ],
)
def test_bad_input_is_one_error(capsys: Out, tmp_path: Path, words: list[str], code: int, says: str) -> None:
    files = [] if "--before" in words else ["--before", capture(tmp_path / "old.pcap", EARLY)]
    found, _, err = run(capsys, *words, *files, "--after", capture(tmp_path / "new.pcap", LATE))
    assert found == code and says in err and "Traceback" not in err


def test_a_vm_that_was_not_moved_is_refused(capsys: Out, tmp_path: Path, moved: Journal) -> None:
    moved.path.unlink()
    code, _, err = run(capsys, "web-1", "--before", "x", "--after", "y")
    assert code == 4 and "web-1 was not moved: it is waiting" in err and "plan run --vm web-1" in err
    with pytest.raises(Exception, match="no VM of wave 1"):
        acceptance.chosen(load(), moved, (), 1)


def test_read_only_looks_and_does_not_sign(capsys: Out, tmp_path: Path) -> None:
    files: list[Any] = ["--before", capture(tmp_path / "old.pcap", EARLY[:1])]
    files += ["--after", capture(tmp_path / "new.pcap", LATE[:1]), "--read-only"]
    assert run(capsys, "web-1", *files)[0] == 4
    assert run(capsys, "web-1", "--look", *files)[0] == 0
