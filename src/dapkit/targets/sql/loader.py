"""The steps by which tables are loaded, in their order, for every SQL database.

Where databases differ, the loader reads their `Capabilities`; drivers and dialects never call back. These rules hold
for each way of loading:

1. The sync state is checked before rows are read, so that no work is done for a table that another process has loaded,
   and once more under a lock, in the transaction that changes the table: only that check counts.
2. Rows, expired rows, sync state and history change in one transaction.
3. DDL is part of this transaction. MySQL commits before and after each DDL statement, so there DDL comes first, after
   the rows are staged, in steps that may be repeated: an interrupted run leaves an altered table with its old rows and
   old state, and the next run finds what is already altered.
4. Everything that can be rejected (another process, an unsupported schema change, a foreign table) is rejected before
   anything is changed.
5. Rows are staged exactly once: before the transaction or within it, as `Capabilities.staging` says.

What a crash leaves: on most databases nothing, because everything is one transaction. PostgreSQL keeps enum values that
had to be committed first. SQL Server keeps a staging table, which the next `prepare` drops. MySQL keeps an empty table
that is listed as unfinished (initial load), an altered table with its old rows and state (increment, full refresh), or
a replacement table that the next change drops (rebuild).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC
from functools import partial
from typing import TypeVar

from dapkit.errors import DapError, IncompatibleLayoutError, SchemaChangeNotSupportedError, TargetError
from dapkit.model import Table
from dapkit.results import Comparison, LoadStats
from dapkit.schema import read_table
from dapkit.targets.base import ExpectedTable, Load, LoadOptions, Merge, Staging, SyncState, concurrent_update
from dapkit.targets.sql.compare import compare_tables
from dapkit.targets.sql.dialect import STATE_SCHEMA, ReplacementClauses, Statements, identifier
from dapkit.targets.sql.driver import Driver, RepeatedKeysError, StagedRows
from dapkit.targets.sql.introspection import ExistingTable, Layout, RelationKind
from dapkit.targets.sql.merge import add_lookup_values, delete_marked, delete_missing, insert_rows, merge_rows
from dapkit.targets.sql.rows import IncomingRows
from dapkit.targets.sql.schema_changes import existing_columns_of, plan_schema_change
from dapkit.targets.sql.sync_state import SyncStateStore

T = TypeVar("T")


_KEEP_ROWS = (
    "Its rows exist nowhere else, so it is not loaded again. Nothing was changed: alter the table to the new schema"
    " yourself, and run the same command again."
)


def _require_unreferenced(table: Table, existing: ExistingTable) -> None:
    """Reject a table that cannot be replaced: foreign keys would follow the old one, which then cannot be dropped."""
    if existing.referrers:
        message = (
            f"Table {table.name} has to be rebuilt, but foreign keys of {', '.join(existing.referrers)} refer to it"
        )
        hint = "Nothing was changed. Drop these foreign keys, run the same command again, and create them again."
        raise IncompatibleLayoutError(message, hint=hint, table=table.name)


class _UndoneError(Exception):
    """Rolls back a transaction on purpose."""


class Loader:
    """Loads tables over one connection."""

    def __init__(self, driver: Driver, state: SyncStateStore) -> None:
        self._driver = driver
        self._dialect = driver.dialect
        self._capabilities = driver.capabilities
        self._state = state

    # The ways of loading

    def initial_load(self, load: Load) -> LoadStats:
        """Create a table, fill it from a snapshot and save its state; see `TargetSession`."""
        with self._driver.exclusive(self._name(load.table)):
            self._require_absent(load.table)
            return self._fastest(load.table, partial(self._create_and_fill, load))

    def _create_and_fill(self, load: Load, direct: bool) -> LoadStats:
        table, rows = load.table, self._incoming(load, action=False)
        with rows.staged_before_transaction(unless=direct), self._created(table) as create, self._driver.transaction():
            if create:
                self._require_absent(table)  # another process may have created it while rows were read
                self._run(create)
            stats = self._fill(rows, table, self._name(table), direct=direct)
            return self._finish(load, "initial-load", stats)

    def apply_increment(self, load: Load, before: SyncState) -> LoadStats:
        """Apply an increment that was requested from the watermark in `before`; see `TargetSession`."""
        table, rows = load.table, self._incoming(load, action=True)
        self._check_early(load, before)
        with rows.staged_before_transaction(), self._altered(load, before) as ddl, rows.staged() as staged:
            # Deletions come first: they are found by the keys of the table as it was.
            deleted = self._driver.execute(delete_marked(self._dialect, table, staged.name))
            written = self._merge(table, staged, action=True)
            return self._finish(load, "incremental", rows.finish(written=written, deleted=deleted), before, ddl)

    def full_refresh(self, load: Load, before: SyncState) -> LoadStats:
        """Make a table equal to a snapshot; see `TargetSession`."""
        self._state.check(before)
        try:
            self.schema_change(load.table, before, load.options)
        except SchemaChangeNotSupportedError:
            if load.options.keep_missing:  # the rows that are to be kept exist nowhere else
                raise
            if self._dialect.replacement is None:
                return self._fastest(load.table, partial(self._rebuild_in_place, load, before))
            return self._fastest(load.table, partial(self._rebuild_and_rename, load, before, self._dialect.replacement))
        rows = self._incoming(load, action=False)
        with rows.staged_before_transaction(), self._altered(load, before) as ddl, rows.staged() as staged:
            return self._finish(load, "full-refresh", self._merge_snapshot(rows, staged), before, ddl)

    def _rebuild_in_place(self, load: Load, before: SyncState, direct: bool) -> LoadStats:
        """Empty a table, give it a schema that it could not get while it had rows, and load it again."""
        table, rows = load.table, self._incoming(load, action=False)
        with rows.staged_before_transaction(unless=direct), self._driver.transaction():
            self._state.lock(before)
            existing = self._driver.catalog.existing(table.namespace, table.name)
            old = existing_columns_of(read_table(before.schema), existing.columns)
            ddl = [*self._dialect.rebuild(old, table, existing), *self._lookup_changes(table)]
            self._driver.lock_table(self._name(table))
            with self._driver.altering(table, ddl):
                self._run(ddl)
                stats = self._fill(rows, table, self._name(table), direct=direct)
            return self._finish(load, "full-refresh", stats, before, ddl)

    def _rebuild_and_rename(
        self, load: Load, before: SyncState, replacement: ReplacementClauses, direct: bool
    ) -> LoadStats:
        """Load a new table next to the old one, which keeps its rows until the new one takes over its name.

        Emptying the table first would commit an empty table. An interruption between RENAME and the last transaction
        leaves a table that is newer than its state: the next increment starts earlier than needed, which is harmless.
        """
        table, rows = load.table, self._incoming(load, action=False)
        existing = self._driver.catalog.existing(table.namespace, table.name)
        _require_unreferenced(table, existing)
        ddl = self._dialect.rebuild(read_table(before.schema), table, existing)
        with rows.staged_before_transaction(unless=direct), self._driver.exclusive(self._name(table)):
            with self._without_leftovers(table):
                self._state.check(before)
                self._run(ddl)
                for statement in replacement.copy_indexes(table, existing):
                    with suppress(TargetError):  # an index may need a column that the new table does not have
                        self._driver.execute(statement)
                self._run(self._lookup_changes(table))
                with self._driver.transaction():
                    stats = self._fill(rows, table, replacement.name(table), direct=direct)
                self._state.check(before)  # loading took long; another process may have replaced the table
                self._run(replacement.take_over(table))
            with self._driver.transaction():
                self._state.lock(before)
                # The history names the table, not its temporary replacement.
                return self._finish(load, "full-refresh", stats, before, self._dialect.create_table(table))

    def repair(self, load: Load) -> LoadStats:
        """Make a table without sync state equal to a snapshot; see `TargetSession`."""
        table, rows = load.table, self._incoming(load, action=False)
        self._require_unmanaged(table)
        self._require_own_layout(table)
        with rows.staged_before_transaction(), self._driver.exclusive(self._name(table)):
            lookups = self._lookup_changes(table)
            if not self._capabilities.transactional_ddl:
                self._run(lookups)
            with self._driver.transaction():
                if self._capabilities.transactional_ddl:
                    self._run(lookups)
                with rows.staged() as staged:
                    stats = self._merge_snapshot(rows, staged)
                # There is no state row yet that could be locked: the process that saves one first wins.
                self._require_unmanaged(table)
                return self._finish(load, "repair", stats)

    def delete_expired(self, load: Load, before: SyncState) -> LoadStats:
        """Delete expired rows when there are no other changes; see `TargetSession`."""
        with self._driver.transaction():
            self._state.lock(before)
            stats = self._without_expired(load, LoadStats(written=0))
            if stats.expired:
                self._state.record_load(load, "expired", stats)
        return stats

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table, what was created for it, and its state."""
        name = self._dialect.facts.name(namespace, table)
        with self._driver.exclusive(name):
            # Looked up while the table exists, since its columns tell what belongs to it.
            ddl = [f"DROP TABLE IF EXISTS {name}", *self._driver.catalog.dependants(namespace, table)]
            if not self._capabilities.transactional_ddl:
                self._run(ddl)
            with self._driver.transaction():
                if self._capabilities.transactional_ddl:
                    self._driver.lock_table(name)
                    self._run(ddl)
                self._state.delete(namespace, table)

    def compare(self, expected: ExpectedTable) -> Comparison:
        """Compare a table with what it should hold, which is loaded into a scratch table; see `TargetSession`."""
        table, replacement = expected.snapshot.table, self._dialect.replacement
        comparable = table if replacement is None else replacement.comparable_table(table)
        scratch = replace(comparable, namespace=self._dialect.facts.scratch)
        return self._fastest(scratch, partial(self._compare_with, expected, scratch))

    def _compare_with(self, expected: ExpectedTable, scratch: Table, direct: bool) -> Comparison:
        loads = ((expected.snapshot, False), (expected.changes, True), (expected.stale, True))
        snapshot, changes, stale = (
            None if load is None else self._incoming(replace(load, table=scratch), action=action)
            for load, action in loads
        )
        assert snapshot is not None, "there always is one"
        with ExitStack() as stack:
            if self._capabilities.transactional_ddl:  # otherwise there is no transaction, so rows may be staged later
                for rows in (None if direct else snapshot, changes, stale):
                    if rows is not None:
                        stack.enter_context(rows.staged_before_transaction())
            stack.enter_context(self._scratch(scratch))
            # Where DDL commits implicitly, no transaction is open, but copying straight into the table needs one.
            own = direct and not self._capabilities.transactional_ddl
            with self._driver.transaction() if own else nullcontext():
                self._fill(snapshot, scratch, self._name(scratch), direct=direct)
            if changes is not None:
                with changes.staged() as staged:
                    self._driver.execute(delete_marked(self._dialect, scratch, staged.name))
                    self._merge(scratch, staged, action=True)
            not_compared = None if stale is None else stack.enter_context(stale.staged()).name
            return compare_tables(self._driver, self._state, expected, scratch, not_compared)

    def schema_change(
        self, table: Table, before: SyncState | None, options: LoadOptions
    ) -> tuple[Statements, Statements]:
        """Return the statements that create or alter a table: first those that are committed at once, then the others.

        Raises:
            SchemaChangeNotSupportedError: its rows cannot be kept.
        """
        if before is None:
            return [], [*self._dialect.create_table(table), *self._dialect.add_key(table)]
        existing = self._driver.catalog.existing(table.namespace, table.name)
        try:
            plan = plan_schema_change(
                self._dialect,
                before,
                table,
                existing,
                drop_columns=options.drop_columns,
                partly_altered=not self._capabilities.transactional_ddl,
            )
        except SchemaChangeNotSupportedError as error:
            if options.keep_missing:
                error.hint = _KEEP_ROWS
            raise
        first = self._dialect.commit_first(read_table(before.schema), table)
        statements = [*self._dialect.alter_table(plan), *self._lookup_changes(table)]
        return (first, statements) if self._capabilities.transactional_ddl else ([*first, *statements], [])

    # Steps

    def _fastest(self, table: Table, attempt: Callable[[bool], T]) -> T:
        """Try to copy rows straight into a new table, and fall back to a staging table.

        The direct way reads and writes every row once, but cannot tell which of two rows with the same key is newer.
        If a key is repeated, everything is rolled back and done again through a staging table. The service hardly
        ever repeats keys, so the fallback is rare.
        """
        if self._capabilities.direct_load and not self._dialect.facts.lookup_columns(table):
            with suppress(RepeatedKeysError):
                return attempt(True)
        return attempt(False)

    def _incoming(self, load: Load, *, action: bool) -> IncomingRows:
        return IncomingRows(self._driver, load, action=action)

    def _check_early(self, load: Load, before: SyncState) -> None:
        """Reject early what the transaction would reject, where rows are staged before the transaction."""
        if self._capabilities.staging is Staging.BEFORE:
            self._state.check(before)
            self.schema_change(load.table, before, load.options)

    @contextmanager
    def _created(self, table: Table) -> Iterator[Statements]:
        """Create a table where DDL commits implicitly; otherwise yield the statements for the transaction.

        The table is listed as unfinished first. If the load is killed, the empty table is recognised by that and
        created again; if it fails, the table is removed here.
        """
        ddl = [*self._dialect.clear_leftovers(table), *self._dialect.create_table(table)]
        if self._capabilities.transactional_ddl:
            yield [*ddl, *self._lookup_changes(table)]
            return
        self._state.list_unfinished(table.namespace, table.name)
        try:
            self._run(ddl)
            yield []
        except BaseException:
            with suppress(TargetError):  # the next run recognises what could not be removed
                self._run(self._dialect.clear_leftovers(table))
                self._state.forget_unfinished(table.namespace, table.name)
            raise

    @contextmanager
    def _altered(self, load: Load, before: SyncState) -> Iterator[Statements]:
        """Alter a table and begin the transaction of its rows, with the state row locked."""
        with self._driver.exclusive(self._name(load.table)):
            self._state.check(before)
            self._drop_leftovers(load.table)
            first, within = self.schema_change(load.table, before, load.options)
            self._run(first)
            with self._driver.transaction():
                self._state.lock(before)
                if within:
                    self._driver.lock_table(self._name(load.table))
                with self._driver.altering(load.table, within):
                    self._run(within)
                yield [*first, *within]

    def _fill(self, rows: IncomingRows, table: Table, into: str, *, direct: bool) -> LoadStats:
        """Load an empty table, then add its key: that is cheaper than updating an index with each row."""
        if direct:
            written = rows.load_into(into)
        else:
            with rows.staged() as staged:
                self._run(add_lookup_values(self._dialect, table, staged.name))
                hinted = into + self._dialect.facts.fill_hint
                written = self._driver.execute(insert_rows(self._dialect, table, staged.name, hinted))
        self._run(self._dialect.add_key(table))
        return rows.finish(written=written)

    def _merge_snapshot(self, rows: IncomingRows, staged: StagedRows) -> LoadStats:
        table, deleted = rows.load.table, 0
        if not rows.load.options.keep_missing:
            deleted = self._driver.execute(delete_missing(self._dialect, table, staged.name))
        return rows.finish(written=self._merge(table, staged, action=False), deleted=deleted)

    def _merge(self, table: Table, staged: StagedRows, *, action: bool) -> int:
        """Merge staged rows into a table, and return how many."""
        self._run(add_lookup_values(self._dialect, table, staged.name))
        self._run(merge_rows(self._dialect, self._merge_mode(table), table, staged.name, action=action))
        # Counted, since databases report rows in different ways: MySQL counts an updated row twice.
        where = f" WHERE {self._dialect.facts.action_column} <> 'D'" if action else ""
        return int(self._driver.query(f"SELECT {self._dialect.facts.count_all} FROM {staged.name}{where}")[0][0])

    def _merge_mode(self, table: Table) -> Merge:
        """Return how rows are merged. A table that its owner partitioned may have no unique index on its key.

        Then rows are found by a join. The state row is locked, so no other process adds rows in between.
        """
        by_index = self._capabilities.merge in (Merge.ON_CONFLICT, Merge.ON_DUPLICATE_KEY)
        if by_index and not self._driver.catalog.has_unique_key(table):
            return self._capabilities.merge_without_key
        return self._capabilities.merge

    def _finish(
        self, load: Load, event: str, stats: LoadStats, before: SyncState | None = None, ddl: Sequence[str] = ()
    ) -> LoadStats:
        """End a load within its transaction: delete expired rows, save the state, add to the history."""
        stats = self._without_expired(load, stats)
        self._state.save(load, known=before is not None)
        if before is None:
            self._state.forget_unfinished(load.table.namespace, load.table.name)
        self._state.record_load(load, event, stats, ddl)
        return stats

    def _without_expired(self, load: Load, stats: LoadStats) -> LoadStats:
        expire = load.options.expire
        if expire is None:
            return stats
        before = self._dialect.facts.literal(str(expire.before.astimezone(UTC).replace(tzinfo=None)))
        delete = f"DELETE FROM {self._name(load.table)} WHERE {identifier(expire.column)} < {before}"
        return replace(stats, expired=self._driver.execute(delete))

    def _lookup_changes(self, table: Table) -> Statements:
        """Return the statements that make existing lookup tables distinguish values as the service does.

        Raises:
            IncompatibleLayoutError: a table of the user has the name of a lookup table.
        """
        statements: Statements = []
        for column in self._dialect.facts.lookup_columns(table):
            lookup = f"{table.name}__{column.name}"
            existing = self._driver.catalog.existing(table.namespace, lookup)
            if list(existing.columns) not in ([], ["id", "value"]):
                message = (
                    f"Table {self._dialect.facts.name(table.namespace, lookup)} exists, and is not the lookup table of"
                    f" column {column.name}"
                )
                raise IncompatibleLayoutError(message, hint="It was not touched: rename it.", table=table.name)
            if existing.columns and self._dialect.lookups is not None:
                statements += self._dialect.lookups.exact(table, column, existing)
        return statements

    @contextmanager
    def _scratch(self, table: Table) -> Iterator[None]:
        """Create a table that is dropped or rolled back at the end."""
        if self._dialect.replacement is not None:
            self._run(self._dialect.replacement.create_temporary(table))
            yield
            self._driver.execute(f"{self._dialect.facts.drop_temporary} {self._name(table)}")
            return
        with suppress(_UndoneError), self._driver.transaction():
            self._run([*self._dialect.create_namespace(table.namespace), *self._dialect.create_table(table)])
            yield
            raise _UndoneError

    @contextmanager
    def _without_leftovers(self, table: Table) -> Iterator[None]:
        """Remove the new table of a rebuild that fails, and that of an earlier one that was killed."""
        self._drop_leftovers(table)
        try:
            yield
        except DapError:
            with suppress(TargetError):  # if this fails, the next run does it
                self._drop_leftovers(table)
            raise

    def _drop_leftovers(self, table: Table) -> None:
        if self._dialect.replacement is None:
            return
        for name in self._dialect.replacement.leftovers(table):
            # Each change comes here, and a DROP that drops nothing would still commit, and be replicated.
            if self._driver.catalog.kind(STATE_SCHEMA, name) is not None:
                self._driver.execute(f"DROP TABLE IF EXISTS {self._dialect.facts.state_table(name)}")

    # What is required

    def _require_absent(self, table: Table) -> None:
        """Raise unless a table may be created."""
        kind = self._driver.catalog.kind(table.namespace, table.name)
        if self._state.is_managed(table.namespace, table.name) and kind is RelationKind.TABLE:
            raise concurrent_update(table.name)
        unfinished = kind is RelationKind.TABLE and self._state.is_unfinished(table.namespace, table.name)
        if kind is not None and not unfinished:
            hint = "Rename it. If it is left from an interrupted load of the official client, use `dap sync --repair`."
            message = f"Table {self._name(table)} exists and is not managed by dapkit"
            raise IncompatibleLayoutError(message, hint=hint, table=table.name)
        self._lookup_changes(table)

    def _require_unmanaged(self, table: Table) -> None:
        if self._state.is_managed(table.namespace, table.name):
            raise concurrent_update(table.name)

    def _require_own_layout(self, table: Table) -> None:
        """Raise IncompatibleLayoutError unless a table is exactly as a load would create it."""
        scratch = replace(table, namespace=self._dialect.facts.scratch)
        expected: Layout = set()
        with self._scratch(scratch):
            self._run(self._dialect.add_key(scratch))
            expected = self._driver.catalog.layout(scratch)
        found = self._driver.catalog.layout(table)
        if found != expected:
            names = ", ".join(sorted({str(line[0]) for line in found ^ expected}))
            message = f"Table {table.name} is not managed by dapkit and does not have the layout that a load creates"
            hint = f"It may be your own table, so it was not touched: rename it. Differences: {names}."
            raise IncompatibleLayoutError(message, hint=hint, table=table.name)

    def _run(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._driver.execute(statement)

    def _name(self, table: Table) -> str:
        return self._dialect.facts.full_name(table)
