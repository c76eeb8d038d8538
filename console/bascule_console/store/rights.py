"""What the cluster granted this user: the answers to SelfSubjectAccessReviews, each asked once per context."""

from __future__ import annotations

from bascule_console.actions.model import Need
from bascule_console.store.topics import RIGHTS, Topics


class Rights:
    """Answers by need; what was not answered yet is not in it."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.granted: dict[Need, bool] = {}

    def answer(self, need: Need, granted: bool) -> None:
        """The cluster said whether this user has that right."""
        self.granted[need] = granted
        self._topics.touch(RIGHTS)
