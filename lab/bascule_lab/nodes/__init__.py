"""Node namespaces and the thread that makes them."""
