"""VMs: their NICs, moves, and attaching a NIC."""
