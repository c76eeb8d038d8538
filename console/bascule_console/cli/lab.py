"""`bascule lab …`: hands over to the lab's own program, because the console never imports the lab."""

from __future__ import annotations

import importlib.util
import os
import sys

from bascule.errors import UsageError


def run_raw(arguments: list[str]) -> int:
    """Replace this process by `python -m bascule_lab` with the arguments as they are. Does not return."""
    if importlib.util.find_spec("bascule_lab") is None:
        raise UsageError("the lab is not installed", fix="pip install 'bascule[lab]', or make install in a checkout")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "bascule_lab", *arguments])
