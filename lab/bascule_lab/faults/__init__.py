"""Faults as verbs: the same ones for tests and for operators in training. Each returns what it did, with times."""
