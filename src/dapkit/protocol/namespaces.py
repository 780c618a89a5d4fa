"""PURE: the namespaces of the service, and which one a misspelt name probably means."""

import difflib

LOGS = "canvas_logs"
"""The namespace of logs: the service keeps them for 30 days, so older rows exist only where they were loaded."""

NAMESPACES = ("canvas", LOGS, "catalog", "new_quizzes")
"""The namespaces that are known; the service may have others."""


def nearest_namespace(name: str) -> str:
    """Return a hint for a namespace that the service does not know."""
    close = difflib.get_close_matches(name, NAMESPACES, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Known namespaces: {', '.join(NAMESPACES)}."
