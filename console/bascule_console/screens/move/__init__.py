"""The move dialog: choose a node, confirm, watch the phases, read the cut-over record."""
