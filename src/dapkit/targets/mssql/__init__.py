"""Microsoft SQL Server and Azure SQL: rows by the driver's bulk copy into a table of ours, and from there by SQL."""
