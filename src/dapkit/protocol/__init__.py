"""The service's protocol without I/O: messages, job states, retries and budgets.

All modules here are pure: no clock, socket, file or log. msgspec is the only third-party library.
"""
