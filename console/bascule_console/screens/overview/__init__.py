"""The overview: Networks × nodes, and what wants an eye."""
