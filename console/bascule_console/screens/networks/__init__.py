"""Networks: list, detail with a node × VLAN matrix, create and edit."""
