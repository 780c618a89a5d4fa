"""The exit codes that only the command has; all others belong to the error classes."""

BROKEN_PIPE = 141
"""The program that read the output has ended."""
