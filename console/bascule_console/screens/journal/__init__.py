"""The journal: what was changed, by whom, and taking it back."""
