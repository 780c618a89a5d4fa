"""Microsoft SQL Server and Azure SQL (experimental: never run against a real server)."""
