"""The lab's Kubernetes API: JSON over TLS on aiohttp, objects and a watch log in SQLite.

Enough of Kubernetes for Bascule's agents, console and stand-ins, and honest about the rest (docs/lab-api.md):
what is not implemented is refused with a Status, never half done. Not a conformance-level apiserver.
"""
