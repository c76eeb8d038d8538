"""From an estate to VMs on the cluster: readiness checks, the network plan, waves, and the steps of each VM.

Everything here is pure: documents in, decisions out. The same input gives the same bytes.
"""
