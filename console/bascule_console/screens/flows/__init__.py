"""Flows: every flow of every port, live."""
