"""What every SQL database has in common: the order of steps in which a table is made, changed, replaced, dropped.

Each is one transaction that ends with the table's line in the books. How rows get into a temporary table is the
driver's own affair: COPY, LOAD DATA and bulk insert share nothing.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from dapkit.errors import IntegrityError, LayoutError, MovedOnError, OriginError, UnalterableError
from dapkit.model import Column, Table, VersionedSchema
from dapkit.schema import read_table
from dapkit.targets.base import (
    Book,
    Comparison,
    Counts,
    Listed,
    Load,
    LoadOptions,
    Parts,
    Standing,
    Truth,
    ValueDifference,
)
from dapkit.targets.comparing import EXAMPLES, ComparingSql, same_json
from dapkit.targets.dialect import BOOKS, Dialect

__all__ = ["NEWEST", "SCRATCH", "SqlSession", "Staged"]

VERSION = 1
"""The version of the books that the official client of today writes, and we with it."""

SANDBOX = "sandbox"
NEWEST = "dapkit_newest"
"""The temporary table of the newest row of each key, where keys were repeated."""

SCRATCH = "dapkit_scratch"


class _UndoneError(Exception):
    """Ends a transaction whose work is not to last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Rows in a temporary table: its name as SQL writes it, how many, and values repaired on the way by column."""

    name: str
    rows: int
    repaired: Mapping[str, int] = field(default_factory=dict)


class SqlSession(ABC):
    """One connection to a SQL database, as a `TargetSession`."""

    dialect: Dialect

    # What a driver does

    @abstractmethod
    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows. Raises TargetError."""

    @abstractmethod
    def modify(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed. Raises TargetError."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Everything within is committed together, or not at all when it raises."""

    @abstractmethod
    def exists(self, namespace: str, table: str) -> bool:
        """Whether there is a table (or view) of this name."""

    @abstractmethod
    def stage(self, load: Load, *, action: bool) -> Staged:
        """Bring the rows into a temporary table, `meta.ts` (and `meta.action`) beside the table's columns.

        Raises:
            BadValueError: a value cannot be held, and may not or cannot be repaired.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection up."""

    def each(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Run a statement and yield its rows, which may be many. Raises TargetError."""
        yield from self.query(sql)

    # What a database may do in its own way

    def alterations(self, load: Load, before: Book) -> list[str]:
        """Return what alters the table into the load's schema. Raises UnalterableError."""
        return self.dialect.alter(read_table(before.schema), load.table, drop_columns=load.options.drop_columns)

    def rebuild(self, load: Load, before: Book) -> list[str]:
        """Return what empties the table and gives it the load's schema."""
        return self.dialect.rebuild(read_table(before.schema), load.table)

    def moment(self, moment: datetime) -> object:
        """Return a time as the driver takes it for a column of UTC without zone."""
        return moment.astimezone(UTC).replace(tzinfo=None)

    def size(self, book: Book) -> int | None:  # noqa: ARG002, for those who can tell
        """Return the bytes that a table takes, None where the database does not tell."""
        return None

    def layout(self, table: Table) -> set[tuple[Any, ...]] | None:  # noqa: ARG002, for those who can tell
        """Return what tells a table that we made from any other, None where no load is ever left half done."""
        return None

    # The books

    def prepare(self, namespace: str, *, sandbox: bool) -> None:
        """Make the books and the namespace's place, where they are missing; see `TargetSession`."""
        with self.transaction():
            if self.exists(namespace, "dap_meta"):
                hint = "Let the official client migrate it once, with any of its commands, or use another database."
                raise LayoutError(f"The books of {namespace} are of version 0 (dap_meta)", hint=hint)
            self._run(self.dialect.create_books())
            self._require_version()
            self._require_origin(sandbox=sandbox)
            self._run(self.dialect.create_namespace(namespace))

    def _require_version(self) -> None:
        table = self.dialect.book("database_version")
        versions = [row[0] for row in self.query(f"SELECT version FROM {table}")]
        if not versions:
            if self.query(f"SELECT 1 FROM {self.dialect.book('table_sync')} LIMIT 1"):
                hint = f"If you know them to be of version {VERSION}, insert that into {table}."
                raise LayoutError("The books have tables, but do not say of which version they are", hint=hint)
            self.modify(f"INSERT INTO {table} (version) VALUES ({VERSION})")
        elif versions != [VERSION]:
            shown = ", ".join(map(str, versions))
            hint = "They may be of a later official client; nothing was touched."
            raise LayoutError(f"The books are of version {shown}, not {VERSION}", hint=hint)

    def _require_origin(self, *, sandbox: bool) -> None:
        table = self.dialect.book("dapkit_origin")
        marked = bool(self.query(f"SELECT 1 FROM {table} WHERE origin = '{SANDBOX}'"))
        if marked and not sandbox:
            raise OriginError("This database holds a sandbox's data")
        if sandbox and not marked:
            if self.query(f"SELECT 1 FROM {self.dialect.book('table_sync')} LIMIT 1"):
                raise OriginError("This database holds the service's data; the sandbox's would be mixed into it")
            self.modify(f"INSERT INTO {table} (origin) VALUES ('{SANDBOX}')")

    def books(self, namespace: str) -> dict[str, Book]:
        """Return the lines of a namespace's tables; of several lines of one table the latest counts."""
        if not self.exists(BOOKS, "table_sync"):
            return {}
        lines = [self._line(namespace, row) for row in self.query(self.dialect.select_books(), (namespace,))]
        return {line.table: line for line in sorted(lines, key=lambda line: line.watermark)}

    def _line(self, namespace: str, row: Sequence[Any]) -> Book:
        table, watermark, version, description = row
        try:
            document = json.loads(description)
        except ValueError as error:
            raise LayoutError(f"The books hold no schema of {table}: {error}", table=table) from error
        schema = VersionedSchema(namespace=namespace, table=table, version=int(version), document=document)
        return Book(namespace=namespace, table=table, watermark=_moment(watermark), schema=schema)

    def standing(self, namespace: str, table: str) -> Standing:
        """Return what there is where the table should be."""
        if table in self.books(namespace):
            return Standing.BOOKED
        return Standing.UNBOOKED if self.exists(namespace, table) else Standing.ABSENT

    # Tables

    def ddl(self, table: Table, before: Book | None, options: LoadOptions) -> list[str]:
        """Return the statements that make or alter a table; nothing is run."""
        if before is None:
            return [*self.dialect.create_table(table), *self.dialect.add_key(table)]
        nothing = Parts(paths=(), rows=0)
        return self.alterations(Load(table=table, parts=nothing, watermark=before.watermark, options=options), before)

    def initialise(self, load: Load) -> Counts:
        """Create a table that is absent, fill it from a snapshot and book it."""
        with self.transaction():
            self._run(self.dialect.create_table(load.table))
            counts = self.fill(load)
            self._book(load, None)
            self._note(load, "initialised", counts)
        return counts

    def fill(self, load: Load) -> Counts:
        """Fill the empty table, which has no key yet, from a snapshot, and add its key."""
        staged = self._staged(load, action=False)
        written = self.modify(self.dialect.insert(load.table, staged.name))
        self._run(self.dialect.add_key(load.table))
        return Counts(written=written, repaired=staged.repaired)

    def change(self, load: Load, before: Book) -> Counts:
        """Apply an increment that was asked from the watermark in `before`."""
        table = load.table
        alterations = self.alterations(load, before)
        with self.transaction():
            self._guard(before)
            self.alter(table, alterations)
            staged = self._staged(load, action=True)
            deleted = self.modify(self.dialect.delete_marked(table, staged.name))
            written = self._upsert(load, staged, action=True)
            counts = Counts(written=written, deleted=deleted, repaired=staged.repaired)
            self._book(load, before)
            self._note(load, "changed", counts, alterations)
        return counts

    def replace(self, load: Load, before: Book) -> Counts:
        """Make a live table equal to a snapshot."""
        table = load.table
        with self.transaction():
            self._guard(before)
            try:
                alterations = self.alterations(load, before)
            except UnalterableError:
                if load.options.keep_missing:
                    raise
                alterations = self.rebuild(load, before)
                counts = self.refill(load, alterations)
            else:
                self.alter(table, alterations)
                counts = self._merge(load)
            self._book(load, before)
            self._note(load, "replaced", counts, alterations)
        return counts

    def _merge(self, load: Load) -> Counts:
        """Bring a snapshot into the live table; rows that it does not have are deleted unless they are to stay."""
        staged, deleted = self._staged(load, action=False), 0
        if not load.options.keep_missing:
            deleted = self.modify(self.dialect.delete_missing(load.table, staged.name))
        written = self._upsert(load, staged, action=False)
        return Counts(written=written, deleted=deleted, repaired=staged.repaired)

    def alter(self, table: Table, statements: Sequence[str]) -> None:  # noqa: ARG002, for those who need it
        """Alter a table into a later version of its schema, within the transaction of the data."""
        self._run(statements)

    def refill(self, load: Load, statements: Sequence[str]) -> Counts:
        """Empty a table, give it another schema by these statements and fill it again."""
        self._run(statements)
        return self.fill(load)

    def repair(self, load: Load) -> Counts:
        """Make a table that is not on the books equal to a snapshot, and book it, if it is as we would make it."""
        with self.transaction():
            self._require_layout(load.table)
            counts = self._merge(load)
            if load.table.name in self.books(load.table.namespace):
                raise MovedOnError(f"Table {load.table.name} was loaded by somebody else meanwhile")
            self._book(load, None)
            self._note(load, "repaired", counts)
        return counts

    def _require_layout(self, table: Table) -> None:
        """Raise LayoutError unless a table is exactly as we would make it."""
        found, wanted = self.layout(table), self.expected_layout(table)
        if found is None or found != wanted:
            odd = sorted({str(line[0]) for line in (found or set()) ^ (wanted or set())})
            message = f"Table {table.name} is not on the books, and is not laid out as a load would leave it"
            hint = f"It may be somebody's own, and was not touched: rename or drop it. What differs: {', '.join(odd)}"
            raise LayoutError(message, hint=hint, table=table.name)

    def expected_layout(self, table: Table) -> set[tuple[Any, ...]] | None:
        """Return the layout of a table as we would make it, which is made and undone to see."""
        wanted = None
        with suppress(_UndoneError), self.transaction():
            scratch = replace(table, namespace=SCRATCH)
            self._run([*self.dialect.create_namespace(SCRATCH), *self.dialect.create_table(scratch)])
            self._run(self.dialect.add_key(scratch))
            wanted = self.layout(scratch)
            raise _UndoneError
        return wanted

    def compare(self, truth: Truth) -> Comparison:
        """Compare a live table with what it should hold, made anew in a transaction that is undone."""
        comparison: Comparison | None = None
        made = replace(truth.snapshot.table, namespace=self.dialect.scratch)
        with suppress(_UndoneError), self.transaction():
            self._make_anew(truth, made)
            comparison = self.compared(truth, made)
            raise _UndoneError
        assert comparison is not None, "what raises is passed on"
        return comparison

    def _make_anew(self, truth: Truth, table: Table) -> None:
        """Make the table as it should be, in a place of its own."""
        self._run([*self.dialect.create_namespace(table.namespace), *self.dialect.create_table(table)])
        self.fill(replace(truth.snapshot, table=table))
        if truth.changes is not None:
            changes = replace(truth.changes, table=table)
            staged = self._staged(changes, action=True)
            self.modify(self.dialect.delete_marked(table, staged.name))
            self._upsert(changes, staged, action=True)

    def compared(self, truth: Truth, made: Table) -> Comparison:
        """Compare the live table with the one that was made anew."""
        live = read_table(truth.live.schema)
        said = replace(made, value=tuple(column for column in made.value if column.name not in truth.unsaid))
        sql = ComparingSql(dialect=self.dialect, live=live, truth=said, sample=truth.sample)
        sql.require_keys()
        if truth.stale is not None:
            sql = replace(sql, left_out=self._staged(replace(truth.stale, table=made), action=True).name)
        missing, extra, repeated = (self._counted(each) for each in (sql.missing(), sql.extra(), sql.repeated()))
        compared, *sums = self.query(sql.differences())[0]
        suspects = [(column, int(number)) for column, number in zip(sql.columns, sums, strict=True) if number]
        differing = {column.name: self._differing(sql, column, number) for column, number in suspects}
        self._require_unmoved(truth.live)
        return Comparison(
            rows=int(self.query(f"SELECT count(*) FROM {self.dialect.of(sql.live)}")[0][0]),
            compared=int(compared),
            missing=missing[0],
            extra=extra[0],
            repeated=repeated[0],
            differing={name: number for name, (number, _) in differing.items() if number},
            missing_keys=missing[1],
            extra_keys=extra[1],
            repeated_keys=repeated[1],
            values=tuple(value for _, values in differing.values() for value in values),
            left_out=sql.not_compared,
        )

    def _counted(self, sql: str) -> tuple[int, tuple[tuple[Any, ...], ...]]:
        """Return how many rows a statement selects, and some of them."""
        number = int(self.query(f"SELECT count(*) FROM ({sql}) AS found")[0][0])
        return number, tuple(self.query(f"{sql} LIMIT {EXAMPLES}")) if number else ()

    def _require_unmoved(self, live: Book) -> None:
        """Raise MovedOnError when a table got another watermark meanwhile, so that what was compared says nothing."""
        line = self.books(live.namespace).get(live.table)
        if line is None or line.watermark != live.watermark:
            raise MovedOnError(f"Table {live.table} was changed by somebody else meanwhile", table=live.table)

    def _differing(self, sql: ComparingSql, column: Column, number: int) -> tuple[int, list[ValueDifference]]:
        """Return in how many rows a column differs, and some of its values; JSON may be the same in other words."""
        examples = sql.examples(column)
        if self.dialect.is_loose(sql.live, column):
            rows, number = [], 0
            for row in self.each(examples):
                if not same_json(row[-2], row[-1]):
                    number += 1
                    rows += [row] if number <= EXAMPLES else []
        else:
            rows = self.query(f"{examples} LIMIT {EXAMPLES}")
        return number, [ValueDifference(key=r[:-2], column=column.name, live=r[-2], truth=r[-1]) for r in rows]

    def drop(self, namespace: str, table: str) -> None:
        """Remove a table and its line."""
        with self.transaction():
            self._run(self.dialect.drop_table(namespace, table))
            self.modify(self.dialect.delete_book(), (namespace, table))

    def listing(self, namespace: str, *, count: bool) -> tuple[Listed, ...]:
        """Return the tables on the books."""
        return tuple(
            Listed(book=book, rows=self._rows(book) if count else None, bytes=self.size(book))
            for book in self.books(namespace).values()
        )

    def _rows(self, book: Book) -> int:
        name = self.dialect.name(book.namespace, book.table)
        return int(self.query(f"SELECT count(*) FROM {name}")[0][0])

    # Steps

    def _run(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self.modify(statement)

    def _staged(self, load: Load, *, action: bool) -> Staged:
        """Return every row that the files hold, or, where a key is there more than once, its newest row alone."""
        staged = self.stage(load, action=action)
        self.require_rows(load, staged.rows)
        if not self.query(self.dialect.repeated(load.table, staged.name)):
            return staged
        name = self.dialect.identifier(NEWEST)
        self.modify(f"DROP TABLE IF EXISTS {name}")
        self.modify(self.dialect.newest(load.table, staged.name, name, action=action))
        return Staged(name=name, rows=staged.rows, repaired=staged.repaired)

    def require_rows(self, load: Load, rows: int) -> None:
        """Raise IntegrityError unless as many rows came as were counted in the files."""
        if rows != load.parts.rows:
            message = f"The files hold {load.parts.rows:,} rows, but {rows:,} came into the database"
            raise IntegrityError(message, table=load.table.name)

    def _upsert(self, load: Load, staged: Staged, *, action: bool) -> int:
        return [self.modify(sql) for sql in self.dialect.upsert(load.table, staged.name, action=action)][-1]

    def _guard(self, before: Book) -> None:
        """Hold the table's line. Raises MovedOnError when it says something else by now."""
        stored = [_moment(row[0]) for row in self.query(self.dialect.hold_book(), (before.namespace, before.table))]
        if not stored or max(stored) != before.watermark:
            raise MovedOnError(f"Table {before.table} was changed by somebody else meanwhile", table=before.table)

    def _book(self, load: Load, before: Book | None) -> None:
        table, mark = load.table, self.moment(load.watermark)
        description = json.dumps(_described(table.schema.document), separators=(",", ":"), ensure_ascii=False)
        if before is not None:
            line = (mark, table.version, description, table.namespace, table.name)
            self.modify(self.dialect.update_book(), line)
            return
        target = (self.dialect.target_schema(table.namespace), table.name)
        values = (table.namespace, table.name, mark, table.version, *target, "json", description)
        self.modify(self.dialect.insert_book(), values)

    def _note(self, load: Load, event: str, counts: Counts, ddl: Sequence[str] = ()) -> None:
        detail = {
            "watermark": load.watermark.isoformat(),
            "schema_version": load.table.version,
            "written": counts.written,
            "deleted": counts.deleted,
            **({"repaired": dict(counts.repaired)} if counts.repaired else {}),
            **({"ddl": list(ddl)} if ddl else {}),
        }
        values = (self.moment(datetime.now(UTC)), load.table.namespace, load.table.name, event, json.dumps(detail))
        self.modify(self.dialect.insert_history(), values)


def _described(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema as the books hold it: without the property `meta`, which no column stands for."""
    properties = {name: node for name, node in document.get("properties", {}).items() if name != "meta"}
    return {**document, "properties": properties}


def _moment(value: object) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
