"""SQLite: one file, no server, everywhere."""
