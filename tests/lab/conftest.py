"""Fixtures of the lab tier beside the lab itself (tests/support/tests_lab.py)."""

from tests_policies import policies

__all__ = ["policies"]
