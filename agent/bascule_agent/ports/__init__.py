"""Workload ports: brought up in the safe order, opened after a move, taken down, adopted after a restart."""

from bascule_agent.ports.manager import PortManager
from bascule_agent.ports.types import Adopted, Port, PortError, PortSpec

__all__ = ["Adopted", "Port", "PortError", "PortManager", "PortSpec"]
