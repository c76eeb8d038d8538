"""The baseline for moves: the same guests on plain bridges, without agent and without BPF."""
