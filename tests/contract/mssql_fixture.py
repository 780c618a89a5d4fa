"""How the suite looks into SQL Server, and how it says there what it says in other words elsewhere."""

import re
from collections.abc import Sequence

from tests.contract.database_fixture import Capabilities, Fate, Place

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.mssql.dialect import MsSqlDialect
from dapkit.targets.mssql.table_ddl import LOOKUPS
from dapkit.targets.mssql.target import MsSqlTarget

__all__ = ["MsSqlPlace", "in_tsql"]

KEPT, REPAIRED = Fate.KEPT, Fate.REPAIRED
CAPABILITIES = Capabilities(
    nul=KEPT, json_nul=KEPT, infinity=REPAIRED, nan=REPAIRED, unknown_enum=KEPT, exact_keys=False, enum_blanks=False
)
_VERSION = r"\S+\.\"database_version\""


def in_tsql(statement: str) -> list[str]:
    """Return a statement of the suite's own in T-SQL; the version of the books is a column that numbers itself."""
    update = re.fullmatch(rf"UPDATE ({_VERSION}) SET version = (\d+)", statement)
    if update is not None:
        table, number = update.groups()
        return [f"DELETE FROM {table}", *in_tsql(f"INSERT INTO {table} (version) VALUES ({number})")]
    insert = re.match(rf"INSERT INTO ({_VERSION}) ", statement)
    if insert is not None:
        return [f"SET IDENTITY_INSERT {insert[1]} ON", statement, f"SET IDENTITY_INSERT {insert[1]} OFF"]
    return [re.sub(r"^(ALTER TABLE .*) ADD COLUMN ", r"\1 ADD ", statement)]


class MsSqlPlace(Place):
    """A database that keeps enums as numbers, and addresses as bytes."""

    def __init__(self, url: str) -> None:
        super().__init__(MsSqlTarget.of(url), CAPABILITIES)

    def execute(self, *statements: str) -> None:
        """Run statements of a test's own in a session of their own, committed."""
        super().execute(*(each for statement in statements for each in in_tsql(statement)))

    def select(self, table: Table, columns: Sequence[Column]) -> str:
        """Select the texts of lookup tables."""
        dialect = self.dialect
        assert isinstance(dialect, MsSqlDialect)
        values = []
        for column in columns:
            value = f"rows_.{dialect.identifier(column.name)}"
            values.append(dialect.comparable(table, column, value) if column.type.kind in LOOKUPS else value)
        return f"SELECT {', '.join(values)} FROM {dialect.of(table)} AS rows_"

    def index(self, name: str, table: Table) -> str:
        """Return what drops an index of a table after the words DROP INDEX."""
        return f"{name} ON {self.dialect.of(table)}"

    def value(self, type_: ColumnType, raw: object) -> object:
        """Take sixteen bytes that end in twelve zeros for an IPv4 address; the suite knows no other of the kind."""
        if type_.kind is TypeKind.IP and isinstance(raw, bytes) and raw[4:] == bytes(12):
            raw = raw[:4]
        return super().value(type_, raw)
