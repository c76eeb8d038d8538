"""Looking at trunks for a screen: rounds of candidates and proofs into the store. What keeps a round from being made is
kept beside the rows of the last one, so that a screen can say so and show both."""

from __future__ import annotations

import time

from bascule.errors import BasculeError
from bascule_console.services.session import Session
from bascule_console.services.trunks import candidates, matrix
from bascule_console.store.trunks import Asked

LISTEN_SECONDS = 1.0


async def look(session: Session) -> None:
    """One round of candidates, with a second of listening for tagged frames."""
    book = session.store.trunks
    try:
        rows, answers = await candidates(session.cluster, session.agents, (), LISTEN_SECONDS)
    except BasculeError as error:
        book.keep_candidates(Asked(problem=_words(error)))
        return
    book.keep_candidates(Asked(tuple(rows), dict(answers.silent), time.time_ns()))


async def prove(session: Session) -> None:
    """One proof of every VLAN of every trunk, unless one is on its way."""
    book = session.store.trunks
    if book.proving:
        return
    book.begin_proof()
    asked = Asked(problem="the proof was broken off")
    try:
        cells, answers = await matrix(session.cluster, session.agents)
        asked = Asked(tuple(cells), dict(answers.silent), time.time_ns())
    except BasculeError as error:
        asked = Asked(problem=_words(error))
    finally:
        book.keep_proof(asked)


def _words(error: BasculeError) -> str:
    return f"{error.message}: {error.cause}" if error.cause else error.message
