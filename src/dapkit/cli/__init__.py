"""The command line: a command turns its options into settings, makes one call and returns an exit code."""
