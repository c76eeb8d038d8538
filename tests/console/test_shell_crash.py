"""When it breaks: the terminal is given back, and no secret is in the report, in the logs or in a process list."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

# The real program with one fault put in: a key whose action breaks while a token is in its local variables.
BROKEN = """
import sys
from bascule_console.screens.base import BasculeScreen
def action_sort_next(self):
    held = self.app.session._cluster._transport._client.api.configuration.api_key["BearerToken"]
    headers = {"authorization": held}
    raise RuntimeError("forced \\x1b[31mfault")
BasculeScreen.action_sort_next = action_sort_next
from bascule_console.cli.main import main
sys.exit(main())
"""


class Tmux:
    """One tmux server of our own."""

    def __init__(self, folder: Path) -> None:
        self.name = f"h13-{os.getpid()}-{folder.parent.name}"
        self.folder = folder

    def __call__(self, *arguments: str) -> str:
        command = ("tmux", "-L", self.name, "-f", "/dev/null", *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    async def until(self, words: str, seconds: float = 20) -> str:
        shown = ""
        try:
            async with asyncio.timeout(seconds):
                while words not in shown:
                    await asyncio.sleep(0.1)
                    shown = self("capture-pane", "-p", "-S", "-200", "-t", "t")
        except TimeoutError:
            pytest.fail(f"{words!r} did not come up:\n{shown}")
        return shown

    def start(self, program: str, kubeconfig: Path) -> None:
        script = self.folder / "program.py"
        script.write_text(program)
        self("new-session", "-d", "-x", "100", "-y", "30", "-s", "t", "sh")
        home = f"HOME={self.folder} XDG_STATE_HOME={self.folder}/state TEXTUAL_LOG={self.folder}/textual.log"
        command = f"env -u COLUMNS -u LINES {home} {sys.executable} {script} --kubeconfig {kubeconfig}"
        self("send-keys", "-t", "t", f"echo was=$(stty -g); {command}; echo ended with $?; echo is=$(stty -g)", "Enter")


@pytest.fixture
async def tmux(tmp_path: Path) -> AsyncIterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    folder = tmp_path / "home"
    folder.mkdir()
    terminal = Tmux(folder)
    try:
        yield terminal
    finally:
        subprocess.run(["tmux", "-L", terminal.name, "kill-server"], capture_output=True)


def tokens(kubeconfig: Path) -> list[str]:
    found = [user["user"]["token"] for user in yaml.safe_load(kubeconfig.read_text())["users"]]
    assert all(len(token) > 10 for token in found)
    return found


def process_lists() -> str:
    """Arguments and environment of every process, as `ps` and /proc show them."""
    listed = subprocess.run(["ps", "auxwwe"], capture_output=True, text=True).stdout
    for entry in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                listed += (entry / name).read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
    return listed


async def test_a_crash_gives_the_terminal_back_and_tells_no_secret(live: Any, tmux: Tmux) -> None:
    await live.start(nodes=1)
    await live.run("web-1", "node1")
    secret = tokens(live.kubeconfig)
    tmux.start(BROKEN, live.kubeconfig)
    await tmux.until("✓ Running")
    listed = process_lists()
    assert not [token for token in secret if token in listed]
    assert str(tmux.folder / "program.py") in listed  # the list is a real one
    tmux("send-keys", "-t", "t", "s")
    shown = await tmux.until("ended with 1")
    assert "a fault in bascule itself" in shown and "RuntimeError" in shown and "action_sort_next" in shown
    assert "fix: report it" in shown
    whole = tmux("capture-pane", "-p", "-e", "-S", "-", "-t", "t")
    assert not [token for token in secret if token in whole or token[:16] in whole]
    assert "\x1b[31mfault" not in whole
    await asyncio.sleep(0.3)
    lines = tmux("capture-pane", "-p", "-J", "-S", "-200", "-t", "t").splitlines()
    # the prompt stands before it when the shell was slower than the keys
    (was,) = (line.partition("was=")[2] for line in lines if "was=" in line and "$(" not in line)
    assert f"is={was}" in lines
    assert tmux("display-message", "-p", "-t", "t", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}").split() == [
        "0",
        "0",
        "1",
    ]
    tmux("send-keys", "-t", "t", "echo still $((40 + 2))", "Enter")
    await tmux.until("still 42")
    files = [path for path in tmux.folder.rglob("*") if path.is_file()]
    assert not [path for path in files for token in secret if token in path.read_text(errors="replace")]


async def test_a_session_that_breaks_says_so(live: Any, tmux: Tmux) -> None:
    await live.start(nodes=1)
    fault = "import bascule_console.services.connection as s\ndef broken(*a): raise RuntimeError('forced fault')\n"
    program = f"import sys\n{fault}s.Watches = broken\nfrom bascule_console.cli.main import main\nsys.exit(main())\n"
    tmux.start(program, live.kubeconfig)
    shown = await tmux.until("ended with 1")
    assert "a fault in bascule itself" in shown and "forced fault" in shown


EXEC_API = "client.authentication.k8s.io/v1"
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"{more}}}}}]
users: [{{name: u, user: {user}}}]
"""


@pytest.mark.parametrize(
    ("server", "more", "user", "words"),
    [
        ("https://127.0.0.1:9", "", "{token: abc}", "cannot reach https://127.0.0.1:9"),
        ("https://127.0.0.1:9", ", certificate-authority: /nowhere/ca.crt", "{token: abc}", "/nowhere/ca.crt"),
        (
            "https://127.0.0.1:9",
            "",
            f"{{exec: {{command: /nowhere/plugin, apiVersion: {EXEC_API}}}}}",
            "cannot run",
        ),
    ],
)
async def test_a_kubeconfig_that_leads_nowhere(
    tmp_path: Path, tmux: Tmux, server: str, more: str, user: str, words: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.format(server=server, more=more, user=user))
    tmux.start("import sys\nfrom bascule_console.cli.main import main\nsys.exit(main())\n", path)
    await tmux.until(words)
    tmux("send-keys", "-t", "t", ":", "nodes", "Enter")
    await tmux.until("Nodes")
    tmux("send-keys", "-t", "t", "q")
    await tmux.until("ended with 0")


async def test_an_exec_plugin_that_prints_does_not_reach_the_screen(live: Any, tmp_path: Path, tmux: Tmux) -> None:
    await live.start(nodes=1)
    document = yaml.safe_load(live.kubeconfig.read_text())
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\necho NOISE-ON-STDERR >&2\n"
        'printf \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        f'"status":{{"token":"{tokens(live.kubeconfig)[0]}"}}}}\'\n'
    )
    plugin.chmod(0o755)
    spec = {"command": str(plugin), "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    for user in document["users"]:
        user["user"] = {"exec": spec}
    path = tmp_path / "with-plugin"
    path.write_text(yaml.safe_dump(document))
    tmux.start("import sys\nfrom bascule_console.cli.main import main\nsys.exit(main())\n", path)
    shown = await tmux.until("This cluster has no VirtualMachine")
    assert "NOISE" not in shown
