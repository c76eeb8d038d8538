"""Trunks as an operator asks about them, pure: proof, candidates, edits of a hostConfig, blast radius, changes, faults.

The agent gathers the facts (sockets, netlink) and hands them in; nothing here looks at a node.
"""
