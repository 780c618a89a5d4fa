"""What the sandbox serves: tables, rows as a function of time, and their bytes in every format."""
