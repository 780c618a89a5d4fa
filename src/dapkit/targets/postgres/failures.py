"""What PostgreSQL says when it refuses, as one of our errors."""

import psycopg

from dapkit.errors import BadValueError, IntegrityError, TargetError, UnreachableTargetError

__all__ = ["bad_value", "translated"]

_UNREACHABLE = ("08", "28", "3D000", "53300", "57P")
_BROKEN_LINE = "22P04"
_VALUES = ("22", "23502", "23514")
_HINTS = {
    "42501": "Grant it to the user of the connection string; the documentation lists what is needed.",
    "53100": "Free some space on the database server and run the same command again.",
    "25006": "This server only reads; name the primary one.",
    "2BP01": "Drop what depends on it first.",
}


def bad_value(error: psycopg.Error) -> bool:
    """Whether a value is the reason."""
    return (error.sqlstate or "").startswith(_VALUES) and error.sqlstate != _BROKEN_LINE


def translated(error: psycopg.Error, table: str | None = None) -> TargetError | IntegrityError:
    """Return our error for the server's, with its own words and without anything secret."""
    state = error.sqlstate or ""
    words = error.diag.message_primary or str(error).strip().partition("\n")[0]
    detail = f" ({error.diag.message_detail})" if state == "2BP01" and error.diag.message_detail else ""
    message = f"PostgreSQL says: {words}{detail}"
    if state.startswith(_UNREACHABLE) or (not state and isinstance(error, psycopg.OperationalError)):
        return UnreachableTargetError(message, table=table)
    if state == _BROKEN_LINE:
        return IntegrityError(f"A file holds a line that is none: {words}", table=table)
    if bad_value(error):
        where = error.diag.context or ""
        place = f" ({where})" if where.startswith("COPY") else ""
        return BadValueError(message + place, table=table)
    return TargetError(message, hint=_HINTS.get(state, ""), table=table)
