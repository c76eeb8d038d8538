"""The Moves and SourceHalf RPCs without their transport: what the server delegates to."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bascule.protocol.gen.agent_pb2 import MoveRecord, MovesRequest
from bascule_agent.moves.source import SourceTracker
from bascule_agent.moves.tracker import MoveTracker


class MoveService:
    """Both halves of what this node knows about moves."""

    def __init__(self, tracker: MoveTracker, source: SourceTracker) -> None:
        self._tracker = tracker
        self._source = source

    async def stream(self, request: MovesRequest) -> AsyncIterator[MoveRecord]:
        """Records owned here, newest first; with `follow` every change after that, until the caller goes."""
        if request.follow:
            async for record in self._tracker.follow(request.vm, request.namespace, request.migration_uid):
                yield record
            return
        async for record in self._tracker.records(request.vm, request.namespace, request.migration_uid):
            yield record

    async def source_half(self, migration_uid: str) -> str:
        """JSON of what this node did as the source; UsageError when it knows no such move."""
        return self._source.half(migration_uid)
