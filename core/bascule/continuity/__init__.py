"""Continuity of a VM's network across a move: probe series, the record, its timeline and its verdict."""

from bascule.continuity.aftershock import aftershock, folded
from bascule.continuity.findings import findings
from bascule.continuity.lines import record_lines
from bascule.continuity.record import SCHEMA_PATH, Change, Nic, Probe, Record, judged, load_schema
from bascule.continuity.series import SeriesLog, SeriesStats, measure
from bascule.continuity.summary import loss_strip, summary_lines
from bascule.continuity.timeline import Moment, clocks, timeline
from bascule.continuity.verdict import MAX_GAP_MS, Reason, Verdict, judge

__all__ = [
    "MAX_GAP_MS",
    "SCHEMA_PATH",
    "Change",
    "Moment",
    "Nic",
    "Probe",
    "Reason",
    "Record",
    "SeriesLog",
    "SeriesStats",
    "Verdict",
    "aftershock",
    "clocks",
    "findings",
    "folded",
    "judge",
    "judged",
    "load_schema",
    "loss_strip",
    "measure",
    "record_lines",
    "summary_lines",
    "timeline",
]
