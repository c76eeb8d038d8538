"""`make bench [ONLY=name]`: every module of tests/perf that has `rows()`; a table on screen and build/bench.json.

A row is `{name, value, unit, baseline, ratio, goal, met}`. What decides `met` is the ratio to a baseline of the same
run; a goal written as a time is for a quiet machine and only printed (`met` is None then).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
HERE = Path(__file__).parent
OUT = HERE.parents[1] / "build" / "bench.json"
COLUMNS = ("name", "value", "unit", "baseline", "ratio", "goal", "met")


def modules() -> list[str]:
    """Names of the benchmarks here."""
    return sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_") and "def rows(" in p.read_text())


def cell(value: Any) -> str:
    """One table cell."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Run them one after another; 1 when a goal that can be decided is not met."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", choices=modules())
    only = parser.parse_args().only
    print(f"load average {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    for name in [only] if only else modules():
        print(f"== {name}", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"tests.perf.{name}").rows()
    table = [COLUMNS, *(tuple(cell(row.get(column)) for column in COLUMNS) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=1))
    return 1 if any(row.get("met") is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
