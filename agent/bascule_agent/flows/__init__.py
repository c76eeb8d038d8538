"""Collect flows: drain the kernel's maps, keep a minute of history, serve viewers, account for every frame."""
