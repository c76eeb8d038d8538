"""One registry of what an operator can do, feeding keys, footer, help, read-only mode and the CLI."""
