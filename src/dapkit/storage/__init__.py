"""Local files behind a small interface: written beside their names, flushed, renamed."""
