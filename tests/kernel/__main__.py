"""The kernel tier: one boot of Debian's 6.1 kernel, one pytest in it, for what this machine's kernel may lack.

    python -m tests.kernel [pytest options]

Runs the segment contract and tests/kernel in the guest (docs/design/kernel-tier.md). What pytest prints comes out as
it is printed; the guest's log, iproute2's words beside each plan, goes to build/kernel-tier.log. The last line is
pytest's, with what ran and what did not; without QEMU or the kernel it is one skip that says why. Exit code 0, or 1.
"""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

from tests.kernel.boot.kernel import fetch
from tests.kernel.boot.machine import Boot, boot, can_boot

from bascule.errors import BasculeError

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 480.0
LOG = ROOT / "build/kernel-tier.log"
LOG_BEGINS = "@log"
GUEST_LOG = "/run/tier.log"
SUITES = ("tests/agent/segments", "tests/agent/test_flows_drops.py", "tests/kernel")
PYTEST = (
    *(".venv/bin/python", "-m", "pytest", "-c", "tests/kernel/guest.ini", "--rootdir=."),
    # the conftest above these imports the lab and all its clients, seconds over 9p
    *("--confcutdir=tests/agent", "-q", "--color=no", "--durations=3", *SUITES),
)


def command(options: list[str]) -> str:
    """The guest's script: pytest in the host's tree, then its log."""
    return f"""\
cd {shlex.quote(str(ROOT))} || exit 1
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 BASCULE_TIER_LOG={GUEST_LOG}
{shlex.join([*PYTEST, *options])}
code=$?
echo {LOG_BEGINS}
cat {GUEST_LOG} 2>/dev/null
exit $code
"""


class Listener:
    """Prints what pytest says, keeps its closing line for the end, and collects the log behind it."""

    def __init__(self) -> None:
        self.closing = ""
        self.log: list[str] | None = None

    def __call__(self, line: str) -> None:
        if line == LOG_BEGINS:
            self.log = []
        elif self.log is not None:
            self.log.append(line)
        elif " passed" in line or " failed" in line or " error" in line:
            self.closing = line
            if " in " not in line:
                print(line, flush=True)
        else:
            print(line, flush=True)


def main(options: list[str]) -> int:
    """Boot, run, tell."""
    started = time.monotonic()
    missing = can_boot()
    try:
        if missing:
            raise BasculeError(missing)
        kernel = fetch()
        print(f"kernel {kernel.version} under QEMU, the host's root over 9p", flush=True)
        listener = Listener()
        told = boot(kernel, command(options), TIMEOUT_S, listener)
    except BasculeError as error:
        print(f"kernel tier skipped: {error}")
        print(f"1 skipped in {time.monotonic() - started:.2f}s")
        return 0
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("\n".join(listener.log or []) + "\n")
    print(words(told, started))
    if told.broken or told.code is None:
        print(f"kernel tier: {told.broken}")
        print(f"1 error in {time.monotonic() - started:.2f}s")
        return 1
    print(listener.closing)
    return 1 if told.code else 0


def words(told: Boot, started: float) -> str:
    """Where the time went, in guest seconds, and where the log is."""
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told.stages.items())
    return f"boot: {stages}; wall {time.monotonic() - started:.1f} s; log {LOG.relative_to(ROOT)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
