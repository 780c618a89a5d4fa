"""The sync state: the watermark and schema of each managed table, in the official client's layout.

`table_sync` has a row for each managed table, `database_version` the version of this layout. Tables of our own lie next
to them: `dapkit_origin` marks a database that holds a sandbox's data, `dapkit_history` records what was done to
each table, and `dapkit_begun`, on databases whose DDL commits implicitly, lists the tables that are being created.

The newest `HISTORY_LINES` entries of each table are kept, so that the history does not grow without limit. Entries with
DDL are kept forever: schemas rarely change, and users ask what altered a table long afterwards.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dapkit.errors import DapError, IncompatibleLayoutError, SandboxMismatchError
from dapkit.model import VersionedSchema
from dapkit.results import LoadStats
from dapkit.targets.base import HistoryEntry, Load, SyncState, concurrent_update
from dapkit.targets.sql.dialect import STATE_SCHEMA, Dialect, Statements, identifier, listed
from dapkit.targets.sql.driver import Driver

VERSION = 1
"""The version of the state tables that today's official client writes, and dapkit too."""

log = logging.getLogger(__name__)

HISTORY = "dapkit_history"
HISTORY_LINES = 100
DDL = "ddl"
"""The key of the statements that altered a table, in the details of an entry."""

_ORIGIN, _UNFINISHED = "dapkit_origin", "dapkit_begun"
_SANDBOX = "sandbox"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SyncStateStore:
    """The state tables of one database."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._placeholder = driver.dialect.facts.placeholder
        self._of_table = f"source_namespace = {self._placeholder} AND source_table = {self._placeholder}"

    # The tables themselves

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Create the state tables and the namespace where they are missing; see `TargetSession`."""
        self._driver.check_database()
        # Two commands that start together would both create them. Where CREATE ... IF NOT EXISTS does not prevent that,
        # a lock does: taken here, or by the statements themselves until the transaction ends.
        with self._driver.exclusive("state tables"), self._driver.transaction():
            self._require_no_version_0(namespace)
            for statement in self._driver.dialect.create_state_tables():
                self._driver.execute(statement)
            self._require_or_insert_version()
            self.require_origin(sandbox=sandbox)
            if sandbox and not self.holds_sandbox():
                self._driver.execute(f"INSERT INTO {self._table(_ORIGIN)} (origin) VALUES ('{_SANDBOX}')")
            for statement in self._driver.dialect.create_namespace(namespace):
                self._driver.execute(statement)

    def _require_no_version_0(self, namespace: str) -> None:
        # Version 0 had its table in the schema of each namespace; where there are no schemas, without any prefix.
        namespaces = (namespace,) if self._driver.dialect.facts.schemas else (namespace, "")
        if any(self._driver.catalog.kind(each, "dap_meta") for each in namespaces):
            hint = "Let the official client migrate it once, with any of its commands, or use another database."
            raise IncompatibleLayoutError(f"The sync state of {namespace} has version 0 (dap_meta)", hint=hint)

    def _require_or_insert_version(self) -> None:
        if self._has_version():
            return
        if self._has_states():
            hint = f"If you know that it has version {VERSION}, insert that into {self._table('database_version')}."
            raise IncompatibleLayoutError("The sync state has tables, but no version", hint=hint)
        for statement in insert_version(self._driver.dialect, VERSION):
            self._driver.execute(statement)

    def _has_version(self) -> bool:
        """Whether a version is recorded. Raises IncompatibleLayoutError if it is another."""
        versions = [row[0] for row in self._driver.query(f"SELECT version FROM {self._table('database_version')}")]
        if versions not in ([], [VERSION]):
            shown = ", ".join(map(str, versions))
            hint = "A later official client may have created it. Nothing was changed."
            raise IncompatibleLayoutError(f"The sync state has version {shown}, not {VERSION}", hint=hint)
        return bool(versions)

    def require_version(self) -> None:
        """Raise IncompatibleLayoutError if the state tables have an unsupported version."""
        if self._exists("database_version"):
            self._has_version()

    def holds_sandbox(self) -> bool:
        """Whether the database is marked as holding a sandbox's data."""
        marked = f"SELECT 1 FROM {self._table(_ORIGIN)} WHERE origin = '{_SANDBOX}'"
        return self._exists(_ORIGIN) and bool(self._driver.query(marked))

    def require_origin(self, *, sandbox: bool) -> None:
        """Raise SandboxMismatchError if synthetic and real data would be mixed."""
        marked = self.holds_sandbox()
        if marked and not sandbox:
            raise SandboxMismatchError("This database holds a sandbox's data")
        if sandbox and not marked and self.exists() and self._has_states():
            raise SandboxMismatchError(
                "This database holds the service's data, and the sandbox's would be mixed with it"
            )

    def exists(self) -> bool:
        """Whether there are state tables."""
        return self._exists("table_sync")

    def _exists(self, table: str) -> bool:
        return self._driver.catalog.kind(STATE_SCHEMA, table) is not None

    def _has_states(self) -> bool:
        return bool(
            self._driver.query(self._driver.dialect.facts.limited(f"SELECT 1 FROM {self._table('table_sync')}", 1))
        )

    def _table(self, table: str) -> str:
        return self._driver.dialect.facts.state_table(table)

    # The state of tables

    def states(self, namespace: str) -> dict[str, SyncState]:
        """Return the sync states of a namespace by table; of several rows of one table the latest counts."""
        if not self.exists():
            return {}
        select = (
            f"SELECT source_table, {identifier('timestamp')}, schema_version, schema_description"
            f" FROM {self._table('table_sync')} WHERE source_namespace = {self._placeholder} ORDER BY id"
        )
        late_by = self._driver.dialect.facts.watermarks_late_by
        states = [_state(namespace, row, late_by) for row in self._driver.query(select, (namespace,))]
        return {state.table: state for state in sorted(states, key=lambda state: state.watermark)}

    def is_managed(self, namespace: str, table: str) -> bool:
        """Whether a table has sync state."""
        return self.exists() and bool(self._ids(namespace, table))

    def check(self, before: SyncState) -> None:
        """Raise ConcurrentUpdateError unless the saved watermark is that of `before`; outside a transaction."""
        self.lock(before)  # the lock ends with the statement

    def lock(self, before: SyncState) -> None:
        """Lock the row of a table until the transaction ends.

        Only the holder of the lock may load the table, so two commands that requested an increment from the same
        watermark cannot both apply it.

        Raises:
            ConcurrentUpdateError: the saved watermark is no longer that of `before`.
        """
        # Rows are locked by id. A search by name would also read the locked rows of other tables, so tables that load
        # at the same time would wait for each other.
        facts = self._driver.dialect.facts
        select = (
            f"SELECT {identifier('timestamp')} FROM {self._table('table_sync')}{facts.lock_hint}"
            f" WHERE {self._with_ids(self._ids(before.namespace, before.table))}{facts.lock_clause}"
        )
        saved = [_time(row[0]) for row in self._driver.query(select)]
        if not saved or max(saved) != before.watermark:
            raise concurrent_update(before.table)

    def save(self, load: Load, *, known: bool) -> None:
        """Save the state that a table has after a load, `known` if the row that it had is locked."""
        table, dialect = load.table, self._driver.dialect
        ids = self._ids(table.namespace, table.name)
        changed = (self._watermark(load.watermark), table.version, self._document(table.schema.document))
        if known:
            update = (
                f"UPDATE {self._table('table_sync')} SET {identifier('timestamp')} = {self._placeholder},"
                f" schema_version = {self._placeholder}, schema_description = {self._placeholder}"
                f" WHERE {self._with_ids(ids)}"
            )
            self._driver.execute(update, changed)
            return
        self._delete_rows(ids)  # of a table that was dropped
        row = {
            "source_namespace": table.namespace,
            "source_table": table.name,
            "timestamp": changed[0],
            "schema_version": changed[1],
            "target_schema": table.namespace if dialect.facts.records_schema else None,
            "target_table": table.name,
            "schema_description_format": "json",
            "schema_description": changed[2],
        }
        self._insert("table_sync", row)

    def delete(self, namespace: str, table: str) -> None:
        """Remove the state of a table, if it has one."""
        self._delete_rows(self._ids(namespace, table))
        self.forget_unfinished(namespace, table)

    def _delete_rows(self, ids: Sequence[int]) -> None:
        if ids:
            self._driver.execute(f"DELETE FROM {self._table('table_sync')} WHERE {self._with_ids(ids)}")

    def _ids(self, namespace: str, table: str) -> list[int]:
        select = f"SELECT id FROM {self._table('table_sync')} WHERE {self._of_table}"
        return [int(row[0]) for row in self._driver.query(select, (namespace, table))]

    def _with_ids(self, ids: Sequence[int]) -> str:
        return f"id IN ({', '.join(map(str, ids)) or 'NULL'})"

    def _insert(self, table: str, row: Mapping[str, object]) -> None:
        values = ", ".join([self._placeholder] * len(row))
        self._driver.execute(f"INSERT INTO {self._table(table)} ({listed(row)}) VALUES ({values})", tuple(row.values()))

    def _watermark(self, watermark: datetime) -> object:
        # Rounded down: a later watermark would skip changes, an earlier one only repeats some of them.
        too_fine = (watermark - _EPOCH) % self._driver.capabilities.watermark_precision
        return self._db_time((watermark - too_fine).astimezone(UTC).replace(tzinfo=None))

    def _db_time(self, utc: datetime) -> object:
        return str(utc) if self._driver.dialect.facts.text_times else utc

    def _document(self, document: Mapping[str, Any]) -> str:
        """Return a schema as the official client stores it: without `meta`, which has no columns."""
        properties = {name: node for name, node in document.get("properties", {}).items() if name != "meta"}
        ascii_only = self._driver.dialect.facts.ascii_documents
        return json.dumps({**document, "properties": properties}, separators=(",", ":"), ensure_ascii=ascii_only)

    # Tables that are being created, where DDL commits implicitly

    def list_unfinished(self, namespace: str, table: str) -> None:
        """Note that a table is being created: as long as it is listed and empty, it may be removed again."""
        self.forget_unfinished(namespace, table)
        self._insert(_UNFINISHED, {"source_namespace": namespace, "source_table": table})

    def is_unfinished(self, namespace: str, table: str) -> bool:
        """Whether an interrupted load left this empty table. A table with rows belongs to the user."""
        if self._driver.capabilities.transactional_ddl or not self._exists(_UNFINISHED):
            return False
        listed_ = f"SELECT 1 FROM {self._table(_UNFINISHED)} WHERE {self._of_table}"
        rows = self._driver.dialect.facts.limited(
            f"SELECT 1 FROM {self._driver.dialect.facts.name(namespace, table)}", 1
        )
        return bool(self._driver.query(listed_, (namespace, table))) and not self._driver.query(rows)

    def forget_unfinished(self, namespace: str, table: str) -> None:
        """Take a table off the list."""
        if not self._driver.capabilities.transactional_ddl:
            self._driver.execute(f"DELETE FROM {self._table(_UNFINISHED)} WHERE {self._of_table}", (namespace, table))

    # The history

    def record_load(self, load: Load, event: str, stats: LoadStats, ddl: Sequence[str] = ()) -> None:
        """Add an entry for a load."""
        detail = {
            "watermark": load.watermark.isoformat(),
            "schema_version": load.table.version,
            "written": stats.written,
            "deleted": stats.deleted,
            **({"expired": stats.expired} if stats.expired else {}),
            **({"repaired": dict(stats.repaired)} if stats.repaired else {}),
            **({DDL: list(ddl)} if ddl else {}),
        }
        self.append_history(load.table.namespace, load.table.name, event, detail)

    def append_history(self, namespace: str, table: str, event: str, detail: Mapping[str, Any]) -> None:
        """Add an entry within the transaction."""
        row = {
            "time": self._db_time(datetime.now(UTC).replace(tzinfo=None)),
            "source_namespace": namespace,
            "source_table": table,
            "event": event,
            "detail": json.dumps(detail, ensure_ascii=False),
        }
        self._insert(HISTORY, row)

    def trim_history(self, namespace: str, table: str) -> None:
        """Remove the oldest entries of a table beyond `HISTORY_LINES`, after the transaction of a load.

        A failure is ignored: it must not undo the load, and the next one tries again.
        """
        of_table, history = (namespace, table), self._table(HISTORY)
        times = f"SELECT time FROM {history} WHERE {self._of_table} ORDER BY time DESC"
        delete = (
            f"DELETE FROM {history} WHERE {self._of_table}"
            f" AND time < {self._placeholder} AND detail NOT LIKE {self._placeholder}"
        )
        try:
            oldest = self._driver.query(self._driver.dialect.facts.row_after(times, HISTORY_LINES - 1), of_table)
            if oldest:
                with self._driver.transaction():
                    self._driver.execute(delete, (*of_table, oldest[0][0], f'%"{DDL}"%'))
        except DapError as error:
            log.debug("The history of table %s was not trimmed", table, exc_info=error)

    def last_events(self, namespace: str) -> dict[str, HistoryEntry]:
        """Return the last entry of each table; empty if only the official client has used the database."""
        if not self._exists(HISTORY):
            return {}
        columns = listed(("source_table", "time", "event", "detail"))
        rank = "row_number() OVER (PARTITION BY source_table ORDER BY time DESC) AS dapkit_rank"
        numbered = f"SELECT {columns}, {rank} FROM {self._table(HISTORY)} WHERE source_namespace = {self._placeholder}"
        select = f"SELECT {columns} FROM ({numbered}) AS numbered WHERE dapkit_rank = 1"
        return {
            table: HistoryEntry(time=_time(time), event=event, detail=_detail(text))
            for table, time, event, text in self._driver.query(select, (namespace,))
        }


def insert_version(dialect: Dialect, version: int) -> Statements:
    """Record the version of the state tables."""
    table = dialect.facts.state_table("database_version")
    insert = f"INSERT INTO {table} (version) VALUES ({version})"
    if not dialect.facts.numbered_version:
        return [insert]
    return [f"SET IDENTITY_INSERT {table} ON", insert, f"SET IDENTITY_INSERT {table} OFF"]


def _state(namespace: str, row: Sequence[Any], late_by: timedelta) -> SyncState:
    table, watermark, version, document = row
    try:
        parsed = json.loads(document)
    except ValueError as error:
        raise IncompatibleLayoutError(f"The sync state has no schema of {table}: {error}", table=table) from error
    schema = VersionedSchema(namespace=namespace, table=table, version=int(version), document=parsed)
    return SyncState(namespace=namespace, table=table, watermark=_time(watermark), schema=schema, late_by=late_by)


def _time(value: object) -> datetime:
    """Return a time of the state tables, which drivers return as a naive time in UTC, or as text."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).astimezone(UTC)


def _detail(text: str | None) -> dict[str, Any]:
    """Return the details of an entry; empty if the text is not a JSON object, because another program wrote it."""
    try:
        detail = json.loads(text or "{}")
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}
