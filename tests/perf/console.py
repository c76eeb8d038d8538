"""Issue 3's figures for the console, each in a real terminal (tmux, 160×45), from `_console_app.py`.

What decides `met` is CPU time, memory, or a ratio to something of the same run; a wall time on a busy machine is
printed with its goal, and `met` follows it only where nothing else can decide (key to paint, stalls, frames a second).
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROUNDS = 5
Measured = dict[str, Any]


def rows() -> list[dict[str, Any]]:
    """One object for each figure: name, value, unit, baseline, ratio, goal, met."""
    if shutil.which("tmux") is None:
        raise SystemExit("tests.perf.console: needs tmux")
    return [*first_frame(), *on_a_cluster(), *flows(), *vms(), *idle(), version()]


def row(name: str, value: float, unit: str, goal: str, met: bool | None, baseline: float | None = None) -> Measured:
    """One figure; the ratio is value to baseline."""
    ratio = value / baseline if baseline else None
    return {"name": name, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio, "goal": goal, "met": met}


def run(scene: str, *arguments: str, seconds: float = 120, size: tuple[int, int] = (160, 45)) -> Measured:
    """One scene in a tmux window of its own; RuntimeError with what it said when it breaks."""
    tmux = ("tmux", "-L", f"bascule-perf-{os.getpid()}", "-f", "/dev/null")
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "out.json", Path(folder) / "log"
        program = f"{sys.executable} {HERE / '_console_app.py'} {scene} {out} {' '.join(arguments)}"
        environ = "env -u COLUMNS -u LINES -u NO_COLOR COLORTERM=truecolor BENCH_STARTED_NS=$(date +%s%N)"
        window = ("-x", str(size[0]), "-y", str(size[1]), "-s", "t")
        subprocess.run([*tmux, "new-session", "-d", *window, f"{environ} {program}; echo $? > {log}"], check=True)
        try:
            deadline = time.monotonic() + seconds
            while not log.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            result: Measured = json.loads(out.read_text()) if out.exists() else {"error": "no result"}
        finally:
            subprocess.run([*tmux, "kill-server"], capture_output=True)
    if "error" in result:
        raise RuntimeError(f"{scene}: {result['error']}")
    return result


def first_frame() -> list[Measured]:
    """The smallest Textual app and the console, turn by turn."""
    small, ours = [], []
    for _ in range(ROUNDS):
        small.append(run("smallest"))
        ours.append(run("first"))

    def middle(runs: list[Measured], key: str) -> float:
        return statistics.median(one[key] for one in runs)

    cpu, base = middle(ours, "first_cpu_ms"), middle(small, "first_cpu_ms")
    wall, wall_base = middle(ours, "first_ms"), middle(small, "first_ms")
    return [
        row("console: first frame, CPU", cpu, "ms", "≤ 1.3× the smallest Textual app", cpu <= 1.3 * base, base),
        row("console: first frame, wall", wall, "ms", "≤ 1.3× (quiet machine)", None, wall_base),
    ]


def on_a_cluster() -> list[Measured]:
    """The lab's API server with three nodes and twelve VMs: the first row, and what watching costs when still."""
    return asyncio.run(_on_a_cluster())


async def _on_a_cluster() -> list[Measured]:
    import importlib.util

    spec = importlib.util.spec_from_file_location("console_conftest", HERE.parent / "console" / "conftest.py")
    assert spec is not None and spec.loader is not None
    helpers = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = helpers
    spec.loader.exec_module(helpers)
    with tempfile.TemporaryDirectory() as folder:
        cluster = helpers.Live(Path(folder))
        try:
            await cluster.start(nodes=3)
            for number in range(1, 5):
                for at, kind in enumerate(("web", "db", "legacy"), 1):
                    await cluster.run(f"{kind}-{number}", f"node{at}")
            first = await asyncio.to_thread(run, "live", str(cluster.kubeconfig))
            still = await asyncio.to_thread(run, "idle-live", str(cluster.kubeconfig))
        finally:
            await cluster.stop()
    row_ms, percent = first["row_ms"], still["cpu_percent"]
    return [
        row("console: first live row after the first frame", row_ms, "ms", "≤ 1000", row_ms <= 1000),
        row("console: idle on a still cluster, CPU", percent, "% of a core", "≤ 1", percent <= 1.0),
    ]


def flows() -> list[Measured]:
    """100,000 flows at 5,000 updates/s."""
    seen = run("flows")
    key, cpu, fps, rss = seen["key_p95_ms"], seen["cpu_ms_per_frame"], seen["fps"], seen["rss_mib"]
    under = f"{seen['updates_s']:.0f} updates/s"
    return [
        row(f"console: key to paint p95, {under}, {seen['keys']} keys", key, "ms", "≤ 50", key <= 50),
        row("console: CPU per frame at 160×45, 100k flows", cpu, "ms", "≤ 12", cpu <= 12),
        row("console: frames a second at 160×45, 100k flows", fps, "fps", "≥ 15", fps >= 15),
        row("console: RSS with 100k flows", rss, "MiB", "≤ 150", rss <= 150),
    ]


def vms() -> list[Measured]:
    """20,000 VMs listed, filtered, sorted, scrolled."""
    seen = run("vms")
    worst = seen["worst_ms"]
    where = max(seen["steps"], key=seen["steps"].get)
    name = f"console: longest stall with 20,000 VMs, CPU (list {seen['list_ms']:.0f} ms, else {where})"
    by_the_clock = row("console: the same by the clock", seen["wall_ms"], "ms", "≤ 100 (quiet machine)", None)
    return [row(name, worst, "ms", "≤ 100", worst <= 100), by_the_clock]


def idle() -> list[Measured]:
    """Nothing changes, no cluster."""
    percent = run("idle")["cpu_percent"]
    return [row("console: idle, CPU", percent, "% of a core", "≤ 1", percent <= 1.0)]


def version() -> Measured:
    """`bascule --version` against a Python that does nothing."""
    code = "import sys; from bascule_console.cli.main import main; sys.exit(main(['--version']))"
    ours, bare = [], []
    for _ in range(ROUNDS):
        bare.append(_cpu_ms("pass"))
        ours.append(_cpu_ms(code))
    value = statistics.median(ours)
    return row("bascule --version, CPU", value, "ms", "≤ 150", value <= 150, statistics.median(bare))


def _cpu_ms(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3
