"""Guests: real QEMU VMs cloned from one booted template, and a namespace-only stand-in behind the same interface."""
