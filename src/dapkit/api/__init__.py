"""The public library: `AsyncClient` and `Client`, and the connection that they share with the command."""
