"""MySQL and MariaDB: the service's text goes to LOAD DATA LOCAL as a stream, converted on the server."""
