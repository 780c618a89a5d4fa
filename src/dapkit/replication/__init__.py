"""Tables of the service in a database: loaded, kept up to date, compared."""
