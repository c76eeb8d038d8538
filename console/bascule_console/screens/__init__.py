"""Screens, one folder each: screen.py, its widgets, its style sheet."""
