"""Turns PostgreSQL's errors into ours."""

import re

import psycopg

from dapkit.errors import (
    BadValueError,
    ConcurrentUpdateError,
    MalformedFileError,
    TargetBusyError,
    TargetDiskFullError,
    TargetError,
    TargetPermissionError,
    TargetRejectedError,
    TargetUnreachableError,
)
from dapkit.targets.sql.connection_string import TLS_HINT
from dapkit.targets.sql.driver import RepeatedKeysError

_BROKEN_LINE = "22P04"
_VALUES = ("22", "23502", "23514")
_KINDS: dict[str, type[TargetError]] = {
    "08": TargetUnreachableError,
    "25P03": TargetUnreachableError,  # idle in a transaction for too long: the server has closed the connection
    "25P04": TargetUnreachableError,
    "25006": TargetUnreachableError,  # after a failover the old primary stays reachable: only a new connection helps
    "28": TargetRejectedError,
    "3D000": TargetRejectedError,
    "40": TargetBusyError,
    "42501": TargetPermissionError,
    "42710": ConcurrentUpdateError,
    "42P07": ConcurrentUpdateError,  # the table did not exist a moment ago
    "53100": TargetDiskFullError,
    "53300": TargetBusyError,
    "55P03": TargetBusyError,
    "57P": TargetUnreachableError,
}
"""Our error by the beginning of the SQLSTATE."""

_DEPENDENT = (
    "Nothing was changed. Drop the object that uses it, run the same command again, and create the object again."
)
_ALTERED = (
    "The table was altered outside dapkit. Nothing was changed: undo the alteration and run the same command again."
)
_NAME_TAKEN = "Run the same command again. If the error persists, rename the object that has this name."
_HINTS = {
    "23505": "A unique index of your own rejects these rows. Nothing was changed: drop it, or make it not unique.",
    "25006": (
        "This server is read-only, as after a failover, or because it is a replica: connect to the primary server, for"
        " example with target_session_attrs=read-write in the connection string."
    ),
    "42P16": "The table is partitioned by this column, or inherits it. Nothing was changed: alter the table yourself.",
    "55000": "If the table is in a publication, give it a replica identity, or take it out of the publication.",
    "0A000": _DEPENDENT,
    "23503": "A foreign key of your own refers to these rows. Nothing was changed: let it cascade, or drop it.",
    "2BP01": "Drop what depends on it first.",
    "42703": _ALTERED,
    "42P01": "The table was dropped or renamed. Run `dap sync` to load it again.",
    "42710": _NAME_TAKEN,
    "42P07": _NAME_TAKEN,
    "P0001": "A trigger of your own rejects this. Nothing was changed.",
}
_GRANTS = {
    "row-level security": "Let the user of the connection string bypass row-level security: ALTER ROLE … BYPASSRLS.",
    "must be owner": "Make the user of the connection string the owner: only the owner can alter it.",
    "temporary tables": "Grant TEMPORARY on the database to the user of the connection string.",
    "for database": "Grant CREATE on the database to the user of the connection string, or create the schemas for it.",
    "for schema": "Grant USAGE and CREATE on the schema to the user of the connection string.",
    "for table": "Grant SELECT, INSERT, UPDATE and DELETE on the table to the user of the connection string.",
}
"""How to grant the missing privilege, by the server's words."""

_SAID = re.compile(r"\bFATAL: +(?P<words>.*)", re.DOTALL)
_TOO_MANY_CONNECTIONS = re.compile(r"too many|remaining connection slots|query_wait_timeout|max_client_conn")
_TEMPORARY = re.compile(
    r"starting up|shutting down|in recovery|not (yet )?accepting|terminating connection|cannot connect|has been failing"
)
_TLS = re.compile(r"\bSSL\b|certificate")
_CLIENT_SIDE = re.compile(
    r"SSL error|does not support|certificate (verify|does)|no password supplied|GSS|authentication|invalid \w+ value"
)


def bad_value(error: psycopg.Error) -> bool:
    """Whether a value is the reason of an error."""
    return (error.sqlstate or "").startswith(_VALUES) and error.sqlstate != _BROKEN_LINE


def translated(error: psycopg.Error, table: str | None = None) -> TargetError | MalformedFileError:
    """Return our error for the server's."""
    state = error.sqlstate or ""
    words = error.diag.message_primary or str(error).strip().partition("\n")[0]
    message = f"PostgreSQL says: {words}"
    if error.diag.message_detail and not state.startswith((*_VALUES, "23505")):  # there it quotes values
        message += f" ({error.diag.message_detail})"
    if not state and isinstance(error, psycopg.OperationalError):
        return TargetUnreachableError(message, table=table)
    if state == _BROKEN_LINE:
        return MalformedFileError(f"A downloaded file has a malformed line: {words}", table=table)
    if state == "23514" and not error.diag.constraint_name:  # no CHECK constraint: no partition takes the row
        return TargetError(message, hint="Create a partition for these rows, or a default partition.", table=table)
    if bad_value(error):
        where = error.diag.context or ""
        position = f" ({where})" if where.startswith("COPY") else ""
        return BadValueError(message + position, table=table)
    if state == "23505" and (error.diag.constraint_name or "").startswith(
        "pg_"
    ):  # a unique index of the system catalogue
        return ConcurrentUpdateError(f"{message}: another process is creating the same object", table=table)
    if state == "23505" and error.diag.constraint_name in (None, f"pk_{error.diag.table_name}"):
        return RepeatedKeysError(message, table=table)
    kind = next((kind for beginning, kind in _KINDS.items() if state.startswith(beginning)), TargetError)
    hint = _HINTS.get(state, "")
    if kind is TargetPermissionError:
        hint = next((right for said, right in _GRANTS.items() if said in words), "")
    return kind(message, hint=hint, table=table)


def read_only(error: psycopg.Error) -> TargetUnreachableError:
    """Return our error for a server that accepts no writes: after a failover, only a new connection helps."""
    return TargetUnreachableError(f"PostgreSQL says: {error.diag.message_primary or error}", hint=_HINTS["25006"])


def unconnected(error: psycopg.Error, name: str) -> TargetError:
    """Return our error for a connection that failed; libpq gives only words, and never a password."""
    words = " ".join(str(error).split())
    said = _SAID.search(words)
    if said is None:  # no server answered, or its certificate is not trusted
        kind = TargetRejectedError if _CLIENT_SIDE.search(words) else TargetUnreachableError
        return kind(f"{name} cannot be reached: {words}", hint=TLS_HINT if _TLS.search(words) else "")
    if _TOO_MANY_CONNECTIONS.search(said["words"]):
        return TargetBusyError(f"{name} accepts no more connections: {said['words']}")
    if _TEMPORARY.search(said["words"]):
        return TargetUnreachableError(f"{name} does not accept connections now: {said['words']}")
    return TargetRejectedError(f"{name} rejected the connection: {said['words']}")
