"""How the suite reads PostgreSQL."""

import struct
from collections.abc import Sequence

from tests.contract.database_fixture import DatabaseFixture, Outcome, ValueSupport

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.postgres.dialect import PostgresDialect
from dapkit.targets.postgres.target import target_of
from dapkit.targets.sql.dialect import Dialect, identifier

__all__ = ["PostgresFixture"]

KEPT, REPAIRED = Outcome.KEPT, Outcome.REPAIRED
SUPPORT = ValueSupport(nul=REPAIRED, json_nul=REPAIRED, infinity=KEPT, nan=KEPT, unknown_enum=REPAIRED)


class PostgresFixture(DatabaseFixture):
    """A database that stores open enums as numbers, and whose driver returns lists of enums as one text."""

    def __init__(self, url: str) -> None:
        super().__init__(target_of(url), SUPPORT)

    def select(self, dialect: Dialect, table: Table, columns: Sequence[Column]) -> str:
        """Select the texts of lookup tables, and lists of texts."""
        assert isinstance(dialect, PostgresDialect)
        values = ", ".join(self._selected(dialect, table, column) for column in columns)
        return f"SELECT {values} FROM {dialect.facts.full_name(table)} AS live"

    def _selected(self, dialect: PostgresDialect, table: Table, column: Column) -> str:
        name = f"live.{identifier(column.name)}"
        if column.type.kind is TypeKind.OPEN_ENUM:
            return f"(SELECT value FROM {dialect.facts.lookup_table(table, column)} WHERE id = {name})"
        items = column.type.items
        return f"{name}::text[]" if items is not None and items.kind is TypeKind.ENUM else name

    def existing_objects(self) -> list[tuple[object, ...]]:
        """Return the names of all types; each table has one too."""
        sql = "SELECT typnamespace::regnamespace::text, typname::text FROM pg_type"
        spaces = "('information_schema', 'pg_catalog', 'pg_toast')"
        return sorted(self.query(f"{sql} WHERE typnamespace::regnamespace::text NOT IN {spaces}"))

    def value(self, type_: ColumnType, raw: object) -> object:
        """Return a float of four bytes exactly: the driver returns the shortest decimal that represents it."""
        plain = super().value(type_, raw)
        return struct.unpack("f", struct.pack("f", plain))[0] if type_.kind is TypeKind.FLOAT32 and plain else plain
