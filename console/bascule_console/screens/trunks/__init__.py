"""Trunks: candidates per node, the proof as a matrix, attaching and detaching under commit-confirm."""
