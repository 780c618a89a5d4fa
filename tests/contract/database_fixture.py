"""What a target says of itself to the contract suite, and how the suite looks into it.

A `TargetFixture` is one empty target of any kind; the core of the suite needs no more than its rows as Python values.
A `DatabaseFixture` is one empty SQL database. Most need a target and its `ValueSupport`; those whose driver returns
values in a form of its own, or that keep a column as something else (a number that refers to a table of texts), say so
by another `select` or `value`.
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

__all__ = ["DatabaseFixture", "Fate", "TargetFixture", "ValueSupport", "driver_of"]

Values = dict[str, Any]


class Fate(StrEnum):
    """What becomes of a value: it stays as it is, or is repaired and counted."""

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
        datetimes: to what date-times are cut.
        constrained: whether the database itself refuses a null in a required column.
    """

    nul: Fate
    json_nul: Fate
    infinity: Fate
    nan: Fate
    unknown_enum: Fate
    exact_keys: bool = True
    enum_blanks: bool = True
    datetimes: timedelta = timedelta(microseconds=1)
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

    def settle(self) -> None:  # noqa: B027, most targets need nothing
        """Let what was just written reach its final place, which `listdb` measures."""

    @abstractmethod
    def rows(self, table: Table, columns: Sequence[Column] = ()) -> list[Values]:
        """Return the rows as Python values, in the order of their keys."""

    def value(self, type_: ColumnType, raw: object) -> object:
        """Return what a target gives, or a test writes, as the plain value that it stands for."""
        if raw is None:
            return None
        plain = _PLAIN.get(type_.kind, lambda _, value: value)(type_, raw)
        return plain - (plain - datetime.min) % self.support.datetimes if isinstance(plain, datetime) else plain


class DatabaseFixture(TargetFixture):
    """One empty SQL database."""

    @contextmanager
    def connected(self) -> Iterator[Driver]:
        """Return a connection of a test's own."""
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
        """Execute statements of a test's own, and commit them."""
        with self.connected() as driver, driver.transaction():
            for statement in statements:
                driver.execute(statement)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a question of a test's own."""
        with self.connected() as driver:
            return driver.query(sql)

    def rows(self, table: Table, columns: Sequence[Column] = ()) -> list[Values]:
        """Return the rows as Python values, in the order of their keys."""
        wanted = columns or table.columns
        with self.connected() as driver:
            rows = driver.query(self.select(driver.dialect, table, wanted))
        values = [
            {column.name: self.value(column.type, raw) for column, raw in zip(wanted, row, strict=True)} for row in rows
        ]
        return sorted(values, key=lambda row: [str(row[column.name]) for column in table.key])

    def select(self, dialect: Dialect, table: Table, columns: Sequence[Column]) -> str:
        """Return a statement that selects these columns."""
        return f"SELECT {listed(columns)} FROM {dialect.facts.full_name(table)}"

    def index(self, name: str, table: Table) -> str:
        """Return what drops an index of a table after the words DROP INDEX."""
        return f"{identifier(table.namespace)}.{name}"

    def made(self) -> list[tuple[Any, ...]]:
        """Return the names of everything that exists: tables, views, types and whatever else leaves a trace."""
        sql = "SELECT table_schema, table_name FROM information_schema.tables"
        return sorted(self.ask(f"{sql} WHERE table_schema NOT IN ('information_schema', 'pg_catalog')"))


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
