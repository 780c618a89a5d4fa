"""The command line: options to settings to one engine call to an exit code."""
