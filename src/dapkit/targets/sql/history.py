"""What was done to each table, in a table of ours beside the books: a line for each load, and for each that failed.

The newest `LINES` of each table stay, so that it never grows beyond that; lines that tell of DDL stay for good, since
a schema changes seldom and what altered a table is asked for long afterwards.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dapkit.targets.base import HistoryEntry
from dapkit.targets.sql.dialect import STATE_SCHEMA

if TYPE_CHECKING:
    from dapkit.targets.sql.session import SqlSession

__all__ = ["DDL", "HISTORY", "LINES", "moment", "newest", "write"]

HISTORY = "dapkit_history"
LINES = 100
DDL = "ddl"
"""The word of a detail for the statements that altered the table."""


def write(session: "SqlSession", namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
    """Add a line, within the transaction that the session is in, and let the oldest go."""
    dialect, of = session.dialect, (namespace, table)
    line = (session.stamp(datetime.now(UTC)), *of, event, json.dumps(detail, ensure_ascii=False))
    session.modify(dialect.insert_history(), line)
    for (oldest,) in session.query(dialect.oldest_history(LINES), of):
        session.modify(dialect.prune_history(), (*of, oldest, f'%"{DDL}"%'))


def newest(session: "SqlSession", namespace: str) -> dict[str, HistoryEntry]:
    """Return what was last done to each table of a namespace; nothing where the official client alone has been."""
    if not session.exists(STATE_SCHEMA, HISTORY):
        return {}
    lines = session.query(session.dialect.newest_history(), (namespace,))
    return {
        table: HistoryEntry(time=moment(time), event=event, detail=_detail(text)) for table, time, event, text in lines
    }


def _detail(text: str | None) -> dict[str, Any]:
    """Return a line's detail; one that somebody else wrote there is none of ours."""
    try:
        detail = json.loads(text or "{}")
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}


def moment(value: object) -> datetime:
    """Return a time of the books, which is UTC without saying so, as a driver gives it."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)
