"""Migration figures: an RVTools book of 1,000 VMs read, judged and planned, and the same ten times as large.

The baseline of the import is openpyxl's reading of the same book alone, alternating in the same run; CPU time, medians.
What decides for 10,000 VMs is the ratio to 1,000 in processes of their own, and the largest memory such a one had.
"""

from __future__ import annotations

import gc
import io
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
ROUNDS, VMS = 5, 1000


def rows() -> list[dict[str, Any]]:
    """One object for each figure: name, value, unit, baseline, ratio, goal, met."""
    from tests_rvtools import book, estate

    from bascule.estate.load import load

    data = book(estate(VMS))
    mine, other, count = [], [], 0
    for _ in range(ROUNDS):
        count, seconds = _openpyxl(data)
        other.append(seconds)
        mine.append(_cpu(lambda: load([("export.xlsx", data)])))
    value, baseline = statistics.median(mine), statistics.median(other)
    goal = f">= 4x openpyxl reading {count} rows"
    first = _row("estate-import", value, "s", baseline, baseline / value, goal, baseline / value >= 4)
    found = [_spread(first, mine)]
    checks, plans = _judged(data)
    found.append(_row("estate-assess", statistics.median(checks), "s", 0, 0, "68 checks <= 1 s", _fast(checks, 1)))
    found.append(_row("estate-plan", statistics.median(plans), "s", 0, 0, "<= 2 s", _fast(plans, 2)))
    return found + _large()


def _judged(data: bytes) -> tuple[list[float], list[float]]:
    from bascule.estate.load import load
    from bascule.migration.options import Options
    from bascule.migration.plan import build
    from bascule.migration.readiness import assess

    found = load([("export.xlsx", data)])
    checks, plans = [], []
    for _ in range(ROUNDS):
        here = _world(found)
        checks.append(_cpu(lambda here=here: assess(here, "")))
        judged = assess(here, "")
        fresh = _world(found)
        plans.append(_cpu(lambda fresh=fresh, judged=judged: build(fresh, judged, Options(trunk="trunk0"))))
    return checks, plans


def _world(found: Any) -> Any:
    """The estate with five conversations a VM, and subnets answered."""
    from bascule.migration.answers import Answers
    from bascule.migration.talk import Talk
    from bascule.migration.world import World

    source = random.Random(1)
    ips = [nic.ips[0] for vm in found.vms for nic in vm.nics]
    talks = [
        Talk(ip, ips[min(len(ips) - 1, at // 20 * 20 + source.randrange(20))], 6, 443, 1, source.randrange(1, 10**6))
        for at, ip in enumerate(ips)
        for _ in range(5)
    ]
    subnets = {vid: (f"10.{vid}.0.0/16", f"10.{vid}.255.254") for vid in (110, 120, 130)}
    return World(found, answers=Answers(subnets=subnets), talks=talks)


def _large() -> list[dict[str, Any]]:
    """Import, checks and plan of 10,000 VMs against 1,000, each in a process that does nothing else."""
    from tests_rvtools import book, estate

    told = {}
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as scratch:
        for number in (VMS, VMS * 10):
            path = Path(scratch) / f"{number}.xlsx"
            path.write_bytes(book(estate(number)))
            done = subprocess.run(
                [sys.executable, __file__, str(path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
            )
            told[number] = json.loads(done.stdout)
    small, large = told[VMS], told[VMS * 10]
    ratio = large["seconds"] / small["seconds"]
    mib = large["mib"]
    return [
        _row("estate-10000", large["seconds"], "s", small["seconds"], ratio, "<= 12x 1,000 VMs", ratio <= 12),
        _row("estate-10000-memory", mib, "MB", small["mib"], mib / small["mib"], "<= 500 MB", mib <= 500),
    ]


def _alone(path: str) -> None:
    """What the child does: read, judge, plan; prints CPU seconds and the largest resident size."""
    from bascule.estate.load import load
    from bascule.migration.options import Options
    from bascule.migration.plan import build
    from bascule.migration.readiness import assess

    data = Path(path).read_bytes()
    start = time.process_time()
    found = load([("export.xlsx", data)])
    gc.freeze()  # as cli/gathering.py does
    here = _world(found)
    build(here, assess(here, ""), Options(trunk="trunk0"))
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}))


def _openpyxl(data: bytes) -> tuple[int, float]:
    from openpyxl import load_workbook

    start = time.process_time()
    found = load_workbook(io.BytesIO(data), read_only=True)
    count = sum(1 for sheet in found for _ in sheet.iter_rows(values_only=True))
    seconds = time.process_time() - start
    found.close()
    return count, seconds


def _cpu(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return max(time.process_time() - start, 1e-9)


def _fast(times: list[float], goal: float) -> bool | None:
    """A goal that is a time is for a quiet machine: missed on a busy one, it is not decided."""
    return statistics.median(times) <= goal or None


def _spread(row: dict[str, Any], times: list[float]) -> dict[str, Any]:
    return {**row, "spread": [round(min(times), 3), round(max(times), 3)]}


def _row(
    name: str, value: float, unit: str, baseline: float, ratio: float, goal: str, met: bool | None
) -> dict[str, Any]:
    figures = {"value": round(value, 3), "unit": unit, "baseline": round(baseline, 3), "ratio": round(ratio, 2)}
    return {"name": name, **figures, "goal": goal, "met": met}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _alone(sys.argv[1])
    else:
        for each in rows():
            print(json.dumps(each))
