"""NADs: which segment each leads to."""
