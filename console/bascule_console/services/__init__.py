"""What the console does with the outside world: clusters, agents, files. asyncio, no Textual."""
