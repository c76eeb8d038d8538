"""Live sources: hypervisors that are asked what they have, and, when a plan is run, told to stop, start and read."""
