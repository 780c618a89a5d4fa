"""PostgreSQL: the service's text is passed to COPY unchanged where the server reads it correctly."""
