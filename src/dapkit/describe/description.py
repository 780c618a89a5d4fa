"""PURE. What is known of a table: its schema and its relations, as one value."""

from dataclasses import dataclass, replace

from dapkit.describe.relations import Reference, Relations
from dapkit.model import Column, ColumnType, Table, TypeKind
from dapkit.schema import UNSPECIFIED, column_descriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDescription:
    """A column, or a field of a column that contains objects or arrays of objects.

    Attributes:
        name: its name.
        type: its type in the service's terms, such as `int64`, `text(255)` or `array of text`.
        nullable: whether it may be null.
        meaning: the schema's description.
        values: of an enum, without the marker for values that the schema does not know yet.
        truncatable: whether the service truncates texts that are too long.
        fields: of an object, or of each object in an array.
    """

    name: str
    type: str
    nullable: bool
    meaning: str
    values: tuple[str, ...] = ()
    truncatable: bool = False
    fields: "tuple[ColumnDescription, ...]" = ()

    @property
    def text(self) -> str:
        """The meaning in one line, with the values of an enum, and whether a text may be truncated."""
        values = f"Values: {', '.join(self.values)}." if self.values else ""
        return " ".join(filter(None, (self.meaning, values, "May be truncated." if self.truncatable else "")))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDescription:
    """A table.

    Attributes:
        namespace: its namespace.
        name: its name.
        version: the version of its schema.
        meaning: the schema's title.
        key: the columns of its key.
        columns: all columns, those of the key first.
        references: the columns that contain keys of other tables.
        referenced_by: the columns of other tables, and its own, that contain its key.
    """

    namespace: str
    name: str
    version: int
    meaning: str
    key: tuple[str, ...]
    columns: tuple[ColumnDescription, ...]
    references: tuple[Reference, ...]
    referenced_by: tuple[Reference, ...]

    @property
    def qualified(self) -> str:
        """The name with the namespace."""
        return f"{self.namespace}.{self.name}"


def describe_table(table: Table, relations: Relations) -> TableDescription:
    """Return the description of a table. Relations of columns that its schema does not have are left out."""
    qualified = f"{table.namespace}.{table.name}"
    meanings = column_descriptions(table.schema)
    columns = tuple(_column(column, meanings.get(column.name, column.comment)) for column in table.columns)
    nullable = {column.name: column.nullable for column in columns}
    # The schema is newer than the catalogue.
    references = tuple(
        replace(each, nullable=nullable[each.column]) for each in relations.of(qualified) if each.column in nullable
    )
    return TableDescription(
        namespace=table.namespace,
        name=table.name,
        version=table.version,
        meaning=_line(table.comment),
        key=tuple(column.name for column in table.key),
        columns=columns,
        references=references,
        referenced_by=tuple(
            each for each in relations.to(qualified) if each.table != qualified or each.column in nullable
        ),
    )


def _column(column: Column, meaning: str | None) -> ColumnDescription:
    single = column.type.items or column.type
    return ColumnDescription(
        name=column.name,
        type=type_name(column.type),
        nullable=not column.required,
        meaning=_line(meaning),
        values=tuple(value for value in single.values if value != UNSPECIFIED),
        truncatable=column.type.marker,
        fields=tuple(_column(field, field.comment) for field in single.fields),
    )


def type_name(kind: ColumnType) -> str:
    """Return a type in the service's terms: text(255), decimal(5,2), array of int64."""
    match kind.kind:
        case TypeKind.TEXT if kind.length is not None:
            return f"text({kind.length})"
        case TypeKind.DECIMAL:
            return f"decimal({kind.precision},{kind.scale})"
        case TypeKind.ARRAY if kind.items is not None:
            return f"array of {type_name(kind.items)}"
    return kind.kind.value


def _line(text: str | None) -> str:
    """Return a text without line breaks, which descriptions may contain."""
    return " ".join((text or "").split())
