"""How the suite reads SQL Server, and translates its statements into T-SQL."""

import re
from collections.abc import Sequence

from tests.contract.database_fixture import DatabaseFixture, Outcome, ValueSupport

from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.targets.mssql.target import target_of
from dapkit.targets.sql.dialect import Dialect, identifier

__all__ = ["MsSqlFixture", "in_tsql"]

KEPT, REPAIRED = Outcome.KEPT, Outcome.REPAIRED
SUPPORT = ValueSupport(
    nul=KEPT, json_nul=KEPT, infinity=REPAIRED, nan=REPAIRED, unknown_enum=KEPT, exact_keys=False, enum_blanks=False
)
_VERSION = r"\S+\.\"database_version\""


def in_tsql(statement: str) -> list[str]:
    """Return a statement of the suite in T-SQL; the version of the state tables is an identity column."""
    update = re.fullmatch(rf"UPDATE ({_VERSION}) SET version = (\d+)", statement)
    if update is not None:
        table, number = update.groups()
        return [f"DELETE FROM {table}", *in_tsql(f"INSERT INTO {table} (version) VALUES ({number})")]
    insert = re.match(rf"INSERT INTO ({_VERSION}) ", statement)
    if insert is not None:
        return [f"SET IDENTITY_INSERT {insert[1]} ON", statement, f"SET IDENTITY_INSERT {insert[1]} OFF"]
    return [re.sub(r"^(ALTER TABLE .*) ADD COLUMN ", r"\1 ADD ", statement)]


class MsSqlFixture(DatabaseFixture):
    """A database that stores enums as numbers, and addresses as bytes."""

    def __init__(self, url: str) -> None:
        super().__init__(target_of(url), SUPPORT)

    def execute(self, *statements: str) -> None:
        """Execute statements over a separate connection, and commit them."""
        super().execute(*(each for statement in statements for each in in_tsql(statement)))

    def select(self, dialect: Dialect, table: Table, columns: Sequence[Column]) -> str:
        """Select the texts of lookup tables."""
        values = (dialect.comparison.comparable(table, each, f"live.{identifier(each.name)}") for each in columns)
        return f"SELECT {', '.join(values)} FROM {dialect.facts.full_name(table)} AS live"

    def index(self, name: str, table: Table) -> str:
        """Return what follows DROP INDEX in the statement that drops an index."""
        return f"{name} ON {self.dialect.facts.full_name(table)}"

    def value(self, type_: ColumnType, raw: object) -> object:
        """Read sixteen bytes that end in twelve zeros as an IPv4 address; the suite has no IPv6 address like that."""
        if type_.kind is TypeKind.IP and isinstance(raw, bytes) and raw[4:] == bytes(12):
            raw = raw[:4]
        return super().value(type_, raw)
