"""The live screen: VMs above, flows below, a move from one key."""
