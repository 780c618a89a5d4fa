"""PURE: a table as it stands in the server's catalogue, which DDL that commits by itself may have left half altered.

Whatever a broken run got done is done: a column that is as the new schema wants it needs nothing, whatever the books
say of the schema before.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from dapkit.model import Column, Table, TypeKind
from dapkit.targets.mysql.dialect import TEXT_OF_UUID, MySqlDialect, alters, open_enums
from dapkit.targets.sql.dialect import Statements

__all__ = ["Existing", "Found", "evolve", "own_indexes"]

_WIDTH = re.compile(r"^(tinyint|smallint|int|bigint)\(\d+\)")
_CHARSET = re.compile(r" character set [a-z0-9_]+ collate [a-z0-9_]+$", re.IGNORECASE)
_INDEX = re.compile(r'^ +((?:UNIQUE |FULLTEXT |SPATIAL )?KEY (?!"fk_).*?),?$', re.MULTILINE)
"""A line of SHOW CREATE TABLE; the indexes under our foreign keys come with these."""


@dataclass(frozen=True, slots=True)
class Existing:
    """A column that a table has: its type as the catalogue tells it."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the catalogue says of a table.

    Attributes:
        columns: all that it has, the user's own included.
        key: the columns of its primary key.
        references: the names of its foreign keys.
    """

    columns: Sequence[Existing]
    key: Sequence[str]
    references: Collection[str] = ()


def evolve(dialect: MySqlDialect, before: Table, after: Table, found: Found, *, drop_columns: bool) -> Statements:
    """Alter a table, as it stands, into a later version of its schema.

    Raises:
        SchemaChangeNotSupportedError: that cannot be done while it has rows.
    """
    there = {column.name: column for column in found.columns}
    stands = {column.name: _as_found(column, there[column.name]) for column in before.columns if column.name in there}
    first: Statements = []
    if TEXT_OF_UUID in there:  # a conversion that broke off begins anew
        first.append(f"ALTER TABLE {dialect.of(after)} DROP COLUMN {dialect.identifier(TEXT_OF_UUID)}")
    for column in after.columns:
        if column.name not in there:
            continue
        existing, old = there[column.name], stands.get(column.name)
        if _as_wanted(dialect, after, column, existing, old, found):
            comment = column.comment if old is None else old.comment
            stands[column.name] = replace(column, required=existing.required, comment=comment)
            if old is None and column.required and not existing.required and column.default is not None:
                first += dialect.fill_nulls(after, column)
                stands[column.name] = column
        elif old is None:  # it was kept, with another type
            bound = dialect.reference(after, column) in found.references
            type_ = replace(column.type, kind=TypeKind.OPEN_ENUM if bound else TypeKind.TEXT)
            first += dialect.drop_column(after, replace(column, type=type_))
    statements = dialect.alter(_table(before, stands, found), after, drop_columns=drop_columns)
    unbound = [
        dialect.refer(after, column)
        for column in open_enums(after)
        if column.name in stands and dialect.reference(after, column) not in found.references
    ]
    return [*first, *statements, *unbound]


def _as_found(column: Column, existing: Existing) -> Column:
    return replace(column, required=existing.required)


def _as_wanted(
    dialect: MySqlDialect, table: Table, column: Column, existing: Existing, old: Column | None, found: Found
) -> bool:
    """Whether a column that is there has the type that the schema wants, and means the same by it."""
    wanted = _plain(dialect.type_of(table, column))
    if wanted != _plain(existing.type):
        return False
    alike = old is not None and wanted == _plain(dialect.type(old.type, key=column in table.key))
    if old is not None and alike and not alters(old.type, column.type):
        return False
    bound = dialect.reference(table, column) in found.references
    return column.type.kind is TypeKind.OPEN_ENUM or not bound


def _plain(type_: str) -> str:
    """Return a type without what the catalogues of different servers write differently."""
    plain = _WIDTH.sub(r"\1", _CHARSET.sub("", type_).strip())
    if plain.lower().startswith("enum"):
        return "enum" + plain[4:].replace(" ", "").replace("\\\\", "\\")
    plain = plain.lower()
    return {"integer": "int", "json": "longtext"}.get(plain, plain)


def _table(before: Table, stands: dict[str, Column], found: Found) -> Table:
    key = tuple(stands[name] for name in found.key if name in stands)
    return replace(before, key=key, value=tuple(each for name, each in stands.items() if name not in found.key))


def own_indexes(definition: str) -> list[str]:
    """Return the indexes that SHOW CREATE TABLE tells of, those of keys left aside, as ALTER TABLE adds them."""
    return _INDEX.findall(definition)
