"""What is wrong with a cluster's Networks, trunks, pools, NADs and VMs, from its objects and its agents' reports; pure.

Lint judges a manifest before it is applied; the doctor judges what runs, so its rules look at both.
"""

from bascule.doctor.rules import Evidence, Finding, diagnose

__all__ = ["Evidence", "Finding", "diagnose"]
