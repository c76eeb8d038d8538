"""The lab's top-of-rack switch, its gateway and its outside host."""
