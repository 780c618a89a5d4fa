"""Tables into a folder: selection, what an earlier run left, one task for each table."""
