"""The service in miniature, on loopback, with synthetic data. Shares no code with the client, only `spec`."""
