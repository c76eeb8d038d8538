"""The agent's gRPC service and who may call it."""
