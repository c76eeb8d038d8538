"""A real terminal for end-to-end tests: one tmux server of our own with one window, driven by keys only."""

from __future__ import annotations

import subprocess
import time


class Terminal:
    """A window of 120×36; `name` is the tmux server's socket."""

    def __init__(self, name: str) -> None:
        self._name = name

    def tmux(self, *arguments: str) -> str:
        """One tmux command."""
        command = ["tmux", "-L", self._name, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def start(self, command: str) -> None:
        """Run a shell command in the window."""
        self.tmux("new-session", "-d", "-x", "120", "-y", "36", "-s", "t", "sh")
        self.tmux("send-keys", "-t", "t", f"{command}; echo ended with $?", "Enter")

    def close(self) -> None:
        """End the server and all that runs in it."""
        subprocess.run(["tmux", "-L", self._name, "kill-server"], capture_output=True, check=False)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names."""
        for key in keys:
            self.tmux("send-keys", "-t", "t", key)

    def type(self, text: str) -> None:
        """Text as it is."""
        self.tmux("send-keys", "-t", "t", "-l", text)

    def screen(self) -> str:
        """What stands there."""
        return self.tmux("capture-pane", "-p", "-t", "t")

    def see(self, words: str, seconds: float = 40.0) -> str:
        """Wait for the words; returns the screen they stand on."""
        deadline = time.monotonic() + seconds
        while words not in (shown := self.screen()):
            assert time.monotonic() < deadline, f"{words!r} did not come up:\n{shown}"
            time.sleep(0.1)
        return shown

    def leave(self, words: str, seconds: float = 40.0) -> None:
        """Wait until the words are gone; a key right after Escape would be read as Alt and that key."""
        deadline = time.monotonic() + seconds
        while words in (shown := self.screen()):
            assert time.monotonic() < deadline, f"{words!r} did not go away:\n{shown}"
            time.sleep(0.1)

    def goto(self, mode: str, title: str) -> None:
        """`:mode`, and its crumb."""
        self.press(":")
        self.see("where to")
        self.type(mode)
        self.press("Enter")
        self.see(f"› {title}")
