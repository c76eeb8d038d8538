"""Nodes: each node's agent, trunk, bridges, ports, kernel and clock."""
