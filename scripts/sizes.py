"""The house's size rules (DESIGN section 9): no module over 500 lines, median at most 120."""

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("core", "kube", "agent", "console", "lab")


def main() -> int:
    sizes = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
        if path.name != "__init__.py" and "_pb2" not in path.name
    }
    tests = {p.relative_to(ROOT): len(p.read_text().splitlines()) for p in (ROOT / "tests").rglob("*.py")}
    long = {path: lines for path, lines in {**sizes, **tests}.items() if lines > 500}
    for path, lines in long.items():
        print(f"{path}: {lines} lines; the house allows 500")
    median = statistics.median(sizes.values())
    print(f"{len(sizes)} modules, median {median:.0f} lines, longest {max(sizes.values())}")
    if median > 120:
        print("the median module is over 120 lines")
    return 1 if long or median > 120 else 0


if __name__ == "__main__":
    sys.exit(main())
