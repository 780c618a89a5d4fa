"""What the contract suite has to know about a target, and how it reads the target's rows.

A `TargetFixture` is one empty target of any kind; the core of the suite needs no more than its rows as Python values.
A `DatabaseFixture` is one empty SQL database. Most need only a target and its `ValueSupport`. Databases whose driver
returns values in another form, or that store a column differently (as a number that refers to a table of texts),
override `select` or `value`.
"""

import ipaddress
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, cast

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.base import Target, TargetSession
from dapkit.targets.sql.dialect import Dialect, identifier, listed
from dapkit.targets.sql.driver import Driver

__all__ = ["DatabaseFixture", "Outcome", "TargetFixture", "ValueSupport", "driver_of"]

Values = dict[str, Any]


class Outcome(StrEnum):
    """What happens to a value: it is stored unchanged, or repaired and counted."""

    KEPT = "kept"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSupport:
    """Which values a database can store.

    Attributes:
        nul: a NUL character in a text.
        json_nul: the escape of a NUL inside JSON.
        infinity, nan: of a float.
        unknown_enum: a value that its enum does not have.
        exact_keys: whether texts of a key are distinguished by case, accents and spaces at their end.
        enum_blanks: whether a value of an enum may end in spaces.
        constrained: whether the database itself rejects a null in a required column.
    """

    nul: Outcome
    json_nul: Outcome
    infinity: Outcome
    nan: Outcome
    unknown_enum: Outcome
    exact_keys: bool = True
    enum_blanks: bool = True
    constrained: bool = True


def driver_of(session: TargetSession) -> Driver:
    """Return the connection of a session on a SQL database."""
    return cast(Driver, cast(Any, session).driver)


class TargetFixture(ABC):
    """One empty target."""

    def __init__(self, target: Target, support: ValueSupport) -> None:
        self.target = target
        self.support = support

    def open(self) -> TargetSession:
        """Return a session."""
        return self.target.open()

    def flush(self) -> None:  # noqa: B027, most targets need nothing
        """Write recent rows to the blocks of the table, whose size `listdb` reports."""

    @abstractmethod
    def rows(self, table: Table, columns: Sequence[Column] = ()) -> list[Values]:
        """Return the rows as Python values, in the order of their keys."""

    def value(self, type_: ColumnType, raw: object) -> object:
        """Return the plain Python value for a value that a target returns or a test writes."""
        if raw is None:
            return None
        return _PLAIN.get(type_.kind, lambda _, value: value)(type_, raw)


class DatabaseFixture(TargetFixture):
    """One empty SQL database."""

    @contextmanager
    def connected(self) -> Iterator[Driver]:
        """Yield a separate connection."""
        session = self.open()
        try:
            yield driver_of(session)
        finally:
            session.close()

    @property
    def dialect(self) -> Dialect:
        """The SQL of the database."""
        with self.connected() as driver:
            return driver.dialect

    def execute(self, *statements: str) -> None:
        """Execute statements over a separate connection, and commit them."""
        with self.connected() as driver, driver.transaction():
            for statement in statements:
                driver.execute(statement)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query over a separate connection."""
        with self.connected() as driver:
            return driver.query(sql)

    def rows(self, table: Table, columns: Sequence[Column] = ()) -> list[Values]:
        """Return the rows as Python values, in the order of their keys."""
        selected = columns or table.columns
        with self.connected() as driver:
            rows = driver.query(self.select(driver.dialect, table, selected))
        values = [
            {column.name: self.value(column.type, raw) for column, raw in zip(selected, row, strict=True)}
            for row in rows
        ]
        return sorted(values, key=lambda row: [str(row[column.name]) for column in table.key])

    def select(self, dialect: Dialect, table: Table, columns: Sequence[Column]) -> str:
        """Return a statement that selects these columns."""
        return f"SELECT {listed(columns)} FROM {dialect.facts.full_name(table)}"

    def index(self, name: str, table: Table) -> str:
        """Return what follows DROP INDEX in the statement that drops an index."""
        return f"{identifier(table.namespace)}.{name}"

    def existing_objects(self) -> list[tuple[Any, ...]]:
        """Return the names of everything that exists in the database, such as tables, views and types."""
        sql = "SELECT table_schema, table_name FROM information_schema.tables"
        return sorted(self.query(f"{sql} WHERE table_schema NOT IN ('information_schema', 'pg_catalog')"))


def _decimal(type_: ColumnType, raw: Any) -> Decimal:
    return Decimal(str(raw)).quantize(Decimal(1).scaleb(-type_.scale))


def _datetime(_: ColumnType, raw: Any) -> datetime:
    moment = raw if isinstance(raw, datetime) else datetime.fromisoformat(str(raw))
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _time(_: ColumnType, raw: Any) -> time:
    if isinstance(raw, timedelta):
        return (datetime.min + raw).time()
    return raw if isinstance(raw, time) else time.fromisoformat(str(raw))


def _json(_: ColumnType, raw: Any) -> Any:
    return json.loads(raw) if isinstance(raw, str | bytes) else raw


def _array(type_: ColumnType, raw: Any) -> list[Any]:
    assert type_.items is not None
    items = json.loads(raw) if isinstance(raw, str | bytes) else raw
    plain = _PLAIN.get(type_.items.kind, lambda _, value: value)
    return [None if item is None else plain(type_.items, item) for item in items]


def _uuid(_: ColumnType, raw: Any) -> str:
    return str(uuid.UUID(bytes=bytes(raw)) if isinstance(raw, bytes | bytearray) else uuid.UUID(str(raw)))


def _address(type_: ColumnType, raw: Any) -> str:
    """Return an address in full; of sixteen bytes that may be either kind, those that end in twelve zeros are IPv4."""
    if not isinstance(raw, bytes | bytearray):
        return ipaddress.ip_interface(str(raw)).ip.exploded
    data = bytes(raw)
    if type_.kind is TypeKind.IP and len(data) == 16 and data[4:] == bytes(12) and data[:4] != bytes(4):
        data = data[:4]
    return ipaddress.ip_address(data).exploded


_PLAIN: Mapping[TypeKind, Any] = {
    TypeKind.BOOLEAN: lambda _, raw: bool(raw),
    TypeKind.DECIMAL: _decimal,
    TypeKind.DATETIME: _datetime,
    TypeKind.DATE: lambda _, raw: raw if isinstance(raw, date) else date.fromisoformat(str(raw)),
    TypeKind.TIME: _time,
    TypeKind.UUID: _uuid,
    TypeKind.IPV4: _address,
    TypeKind.IPV6: _address,
    TypeKind.IP: _address,
    TypeKind.ARRAY: _array,
    TypeKind.OBJECT: _json,
    TypeKind.UNTYPED: _json,
}
