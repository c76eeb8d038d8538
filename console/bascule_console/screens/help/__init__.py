"""Help, made from the live bindings."""
