"""Moves: every live migration and its cut-over record."""
