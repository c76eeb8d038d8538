"""Segment drivers: they carry out the steps of bascule.hostplan and observe what is there."""

from bascule_agent.segments.contract import SegmentDriver, Segments
from bascule_agent.segments.errors import SegmentError
from bascule_agent.segments.observe import observe_addresses, observe_links
from bascule_agent.segments.per_vlan import PerVlan
from bascule_agent.segments.vlan_aware import VlanAware

__all__ = [
    "PerVlan",
    "SegmentDriver",
    "SegmentError",
    "Segments",
    "VlanAware",
    "observe_addresses",
    "observe_links",
]
