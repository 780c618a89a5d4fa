"""Wire files into rows."""
