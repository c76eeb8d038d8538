"""Addresses: who claims them, what answers, what conflicts."""
