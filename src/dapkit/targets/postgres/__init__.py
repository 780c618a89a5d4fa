"""PostgreSQL: the service's text goes to COPY as it comes, wherever it means the same to the server."""
