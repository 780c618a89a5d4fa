"""Tables into targets: planned, downloaded, loaded and compared."""
