"""Watch moves: the target's agent owns the record, the source's agent tells its half."""

from bascule_agent.moves.around import Control, Extras, Fabric
from bascule_agent.moves.dial import AgentClient, Dial
from bascule_agent.moves.events import DroppedAfter, PortCounts, PortFrame, PortMoved
from bascule_agent.moves.fabric import FabricWatch
from bascule_agent.moves.fdb import FdbLog, FdbView
from bascule_agent.moves.service import MoveService
from bascule_agent.moves.source import SourceTracker
from bascule_agent.moves.tracker import MoveTracker

__all__ = [
    "AgentClient",
    "Control",
    "Dial",
    "DroppedAfter",
    "Extras",
    "Fabric",
    "FabricWatch",
    "FdbLog",
    "FdbView",
    "MoveService",
    "MoveTracker",
    "PortCounts",
    "PortFrame",
    "PortMoved",
    "SourceTracker",
]
