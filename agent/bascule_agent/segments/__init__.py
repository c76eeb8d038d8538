"""Segment drivers: they carry out the steps of bascule.hostplan and observe what is there."""

from bascule_agent.segments.errors import SegmentError
from bascule_agent.segments.observe import observe_links
from bascule_agent.segments.per_vlan import PerVlan

__all__ = ["PerVlan", "SegmentError", "observe_links"]
