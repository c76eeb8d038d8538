"""Watch moves: the target's agent owns the record, the source's agent tells its half."""

from bascule_agent.moves.dial import AgentClient, Dial
from bascule_agent.moves.events import DroppedAfter, PortCounts, PortFrame, PortMoved
from bascule_agent.moves.service import MoveService
from bascule_agent.moves.source import SourceTracker
from bascule_agent.moves.tracker import MoveTracker

__all__ = [
    "AgentClient",
    "Dial",
    "DroppedAfter",
    "MoveService",
    "MoveTracker",
    "PortCounts",
    "PortFrame",
    "PortMoved",
    "SourceTracker",
]
