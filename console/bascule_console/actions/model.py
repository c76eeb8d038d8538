"""What an action is. Screens' tables of actions (actions/<screen>.py) are made of these; registry.py collects them."""

from __future__ import annotations

from dataclasses import dataclass

EVERYWHERE: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """A right that an action needs, as SelfSubjectAccessReview asks for it: `create`, group, plural, subresource."""

    verb: str
    group: str
    resource: str
    subresource: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {resource}.{self.group}".rstrip(".")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing an operator can do.

    `scope` are the modes (screens/modes.py) where it works, EVERYWHERE by default. The screen has a method
    `action_<id>`. `danger` changes the cluster: absent in a read-only session and where one of `needs` is not granted.
    `confirm` is a format text over its subject; `verb` is its headless twin.
    """

    id: str
    label: str
    key: str
    scope: tuple[str, ...] = EVERYWHERE
    danger: bool = False
    confirm: str = ""
    verb: str = ""
    footer: bool = True
    needs: tuple[Need, ...] = ()

    def works_in(self, mode: str) -> bool:
        """Whether the mode has this action."""
        return not self.scope or mode in self.scope
