"""What a start must not load, proven in processes of their own (DESIGN section 6)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("textual", "rich", "kubernetes", "grpc", "numpy", "aiohttp", "pyroute2", "bcc", "keyring", "pandas")


def loaded(code: str) -> set[str]:
    """The modules that are loaded after `code` ran, and the packages they are of."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = json.loads(done.stdout.splitlines()[-1])
    return {*names, *(name.split(".")[0] for name in names)}


def run_main(*arguments: str) -> str:
    return f"from bascule_console.cli.main import main\nmain({list(arguments)!r})"


def test_nobody_calls_the_base_handler_that_textual_calls_itself() -> None:
    """Textual calls `on_mount` of every class of a screen; a second call starts its clock twice."""
    found = []
    for path in (Path(__file__).parents[2] / "console").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and f"super().{node.name}(" in ast.unparse(node):
                found += [f"{path}:{node.lineno}"] if node.name.startswith("on_") else []
    assert found == []


def test_version_and_help_load_nothing_heavy() -> None:
    assert loaded(run_main("--version")) & set(HEAVY) == set()
    assert loaded(run_main("--help")) & set(HEAVY) == set()


@pytest.mark.parametrize("verb", ["nodes", "vms", "moves", "flows", "demo", "tui"])
def test_a_verbs_help_loads_nothing_heavy(verb: str) -> None:
    assert loaded(run_main(verb, "--help")) & set(HEAVY) == set()


def test_store_services_and_actions_never_load_textual() -> None:
    modules = ("store.store", "actions.bindings", "services.session", "services.moves", "services.reports")
    code = "\n".join(f"import bascule_console.{name}" for name in modules)
    assert loaded(code) & {"textual", "rich", "kubernetes", "grpc", "numpy"} == set()


def test_the_app_paints_before_kubernetes_and_grpc_load() -> None:
    """Nor what judges: lint alone would cost a quarter of the first frame."""
    first = ("app", "store.store", "services.session", "screens.live.screen")
    here = loaded("\n".join(f"import bascule_console.{name}" for name in first))
    assert here & {"kubernetes", "grpc", "numpy", "pyroute2", "bascule_lab"} == set()
    assert here & {"bascule.lint", "bascule.doctor", "bascule.policy", "bascule.translate", "bascule.hostplan"} == set()
