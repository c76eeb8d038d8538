"""What changes on this node without us: drift of what we built (or, in mode observe, of what another owner built), and
faults of the trunk's outside."""
