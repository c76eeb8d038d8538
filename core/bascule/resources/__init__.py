"""Typed, frozen, read-only views of API objects that are plain dicts everywhere else.

`X.of(document)` never raises on a malformed document: a field of the wrong type reads as absent. Judging documents is
lint's work. The exception is `pod.nics_of`, where a wrong guess would open a port for the wrong address.
"""
