"""The public library: `AsyncClient`, `Client`, and the connection that both share with the command."""
