"""From what the cluster wants to what this node does: desired state, steps, ports; errors stay with their Network."""
