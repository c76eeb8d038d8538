"""Continuity of a VM's network across a move: probe series, the record, its timeline and its verdict."""

from bascule.continuity.record import SCHEMA_PATH, Change, Nic, Probe, Record, load_schema
from bascule.continuity.series import SeriesLog, SeriesStats, measure
from bascule.continuity.summary import loss_strip, summary_lines
from bascule.continuity.timeline import Moment, timeline
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
    "judge",
    "load_schema",
    "loss_strip",
    "measure",
    "summary_lines",
    "timeline",
]
