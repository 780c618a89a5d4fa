"""Microsoft SQL Server and Azure SQL (experimental): rows by bulk copy into a staging table, and from there by SQL."""
