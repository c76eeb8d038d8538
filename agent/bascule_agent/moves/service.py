"""The Moves and SourceHalf RPCs without their transport: what the server delegates to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from bascule.protocol.gen.agent_pb2 import MoveRecord, MovesRequest
from bascule_agent.moves.source import SourceTracker
from bascule_agent.moves.tracker import MoveTracker


class MoveService:
    """Both halves of what this node knows about moves."""

    def __init__(
        self,
        tracker: MoveTracker,
        source: SourceTracker,
        view: Callable[[str, str, int], Awaitable[dict[str, Any]]] | None = None,
    ) -> None:
        """`view(mac, network, vlan)` is FdbView.look off the loop."""
        self._tracker = tracker
        self._source = source
        self._view = view

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

    async def view(self, mac: str, network: str, vlan: int) -> str:
        """JSON of where this node's bridge of a VLAN has a MAC (FdbView.look)."""
        return json.dumps(await self._view(mac, network, vlan) if self._view else {})
