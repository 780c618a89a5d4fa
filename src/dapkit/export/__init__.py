"""Tables into a folder: which tables, what an earlier run left, one task per table."""
