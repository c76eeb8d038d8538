"""What the console knows: plain objects that services write and screens read. No framework, no I/O."""
