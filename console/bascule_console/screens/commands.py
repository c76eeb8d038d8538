"""What is typed after `:`: a place with an optional filter, `theme NAME`, `help`, `quit`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bascule.errors import UsageError
from bascule_console.screens.modes import MODES, Mode, mode

WORDS = {"help": ("h", "?"), "quit": ("q", "q!", "exit"), "theme": ("skin",)}


class CommandError(UsageError):
    """A command that is none."""


@dataclass(frozen=True, slots=True)
class Command:
    """`target` is a Mode or one of WORDS; `filter` what the mode's table is filtered by."""

    target: Mode | str
    argument: str = ""

    @property
    def filter(self) -> str:
        """The filter to set on arrival: `:vms /web` or `:vms web`."""
        return self.argument.removeprefix("/") if isinstance(self.target, Mode) else ""


def parse(text: str, themes: Sequence[str]) -> Command:
    """The command of a line. Raises CommandError."""
    name, _, rest = text.strip().removeprefix(":").strip().partition(" ")
    argument = rest.strip()
    place = mode(name)
    if place is not None:
        return Command(place, argument)
    word = next((word for word, aliases in WORDS.items() if name == word or name in aliases), None)
    if word is None:
        places = ", ".join(each.id for each in MODES)
        raise CommandError(f"no place or command {name!r}", fix=f"one of {places}; {', '.join(WORDS)}")
    if word == "theme":
        return Command(word, theme_name(argument, themes))
    return Command(word)


def theme_name(argument: str, themes: Sequence[str]) -> str:
    """A theme by its name with or without `bascule-`. Raises CommandError."""
    found = next((name for name in themes if argument in (name, name.removeprefix("bascule-"))), None)
    if found is None:
        short = ", ".join(name.removeprefix("bascule-") for name in themes)
        raise CommandError(f"no theme {argument!r}", fix=f"one of {short}")
    return found


def candidates(text: str, themes: Sequence[str]) -> list[str]:
    """Whole lines that begin with `text`: names first, aliases only where they are meant."""
    names = [each.id for each in MODES] + sorted(WORDS)
    aliases = [alias for each in MODES for alias in each.aliases]
    lines = names + [f"theme {name.removeprefix('bascule-')}" for name in themes]
    found = [line for line in lines if line.startswith(text)]
    return found or [alias for alias in aliases if alias.startswith(text)]
