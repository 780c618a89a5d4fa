"""The known tables: their columns with kinds, limits and references.

The facts come from `dapkit.spec` (`tables.csv`, `changes.csv`, `nested.json`), with a few corrections where the service
is known to differ. The tables of the namespace `edge` are in the module `edge_cases`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from dapkit import spec

UNSPECIFIED = "__dap_unspecified__"
TRUNCATED = "__dap_oversized_truncated__"


class Kind(StrEnum):
    """What a column contains, in the terms of the service's schemas."""

    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    DECIMAL = "decimal"
    NUMBER = "number"
    """A number without a format."""
    BOOLEAN = "boolean"
    STRING = "string"
    TRUNCATABLE = "truncatable"
    """A string that may be replaced by the truncation marker."""
    ENUM = "enum"
    OPEN_ENUM = "open-enum"
    INTEGER_ENUM = "integer-enum"
    DATETIME = "date-time"
    DATE = "date"
    TIME = "time"
    UUID = "uuid"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    IP = "ip"
    """An IPv4 or IPv6 address."""
    JSON = "json"
    """A string that contains JSON."""
    ARRAY = "array"
    OBJECT = "object"
    FREE_OBJECT = "free-object"
    """An object schema without properties."""
    ANY = "any"
    """A schema without a type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column, an array's item or an object's field.

    `values` are the known values of an enum, without the marker for unspecified values, which may always occur in a
    string enum. `precision` and `scale` belong to DECIMAL, `items` to ARRAY, `fields` to OBJECT, `integer`
    (one of the integer kinds) to INTEGER_ENUM. `references` names tables as "namespace.table".
    """

    name: str
    kind: Kind
    nullable: bool = False
    max_length: int | None = None
    values: tuple[str | int, ...] = ()
    precision: int | None = None
    scale: int | None = None
    items: "Column | None" = None
    fields: "tuple[Column, ...]" = ()
    references: tuple[str, ...] = ()
    integer: Kind = Kind.INT32


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its key columns and value columns, both in the order of the service.

    `version` counts the known versions of its schema.
    """

    namespace: str
    name: str
    key: tuple[Column, ...]
    value: tuple[Column, ...]
    version: int = 1

    @property
    def qualified(self) -> str:
        """The name with its namespace, as in `Column.references`."""
        return f"{self.namespace}.{self.name}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, the key first."""
        return self.key + self.value


class Catalogue:
    """Tables by namespace and name."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._tables = {table.qualified: table for table in tables}

    def __iter__(self) -> Iterator[Table]:
        return iter(self._tables.values())

    def namespaces(self) -> tuple[str, ...]:
        """Return all namespaces, in the order of the catalogue."""
        return tuple(dict.fromkeys(table.namespace for table in self))

    def tables(self, namespace: str) -> tuple[str, ...]:
        """Return the names of a namespace's tables. Raises KeyError for an unknown namespace."""
        names = tuple(table.name for table in self if table.namespace == namespace)
        if not names:
            raise KeyError(namespace)
        return names

    def table(self, namespace: str, name: str) -> Table:
        """Return one table. Raises KeyError for an unknown one."""
        return self._tables[f"{namespace}.{name}"]

    def find(self, qualified: str) -> Table | None:
        """Return the table of a reference, or None if the service does not publish it."""
        return self._tables.get(qualified)


_KINDS = {
    ("integer", ""): Kind.INT64,
    ("integer", "int16"): Kind.INT16,
    ("integer", "int32"): Kind.INT32,
    ("integer", "int64"): Kind.INT64,
    ("number", ""): Kind.NUMBER,
    ("number", "decimal"): Kind.NUMBER,
    ("number", "float32"): Kind.FLOAT32,
    ("number", "float64"): Kind.FLOAT64,
    ("boolean", ""): Kind.BOOLEAN,
    ("string", ""): Kind.STRING,
    ("string", "may-be-truncated"): Kind.TRUNCATABLE,
    ("string", "date-time"): Kind.DATETIME,
    ("string", "date"): Kind.DATE,
    ("string", "time"): Kind.TIME,
    ("string", "uuid"): Kind.UUID,
    ("string", "ipv4"): Kind.IPV4,
    ("string", "ipv6"): Kind.IPV6,
    ("string", "ipv4|ipv6"): Kind.IP,
    ("json", ""): Kind.JSON,
    ("object", ""): Kind.FREE_OBJECT,
    ("any", ""): Kind.ANY,
}

_HTTP_STATUSES = (
    *(100, 101, 200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308),
    *range(400, 418),
    *(422, 423, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 507, 511),
)
_CONTROLLERS = (
    *("accounts", "announcements", "assignments", "calendars", "context_modules", "conversations", "courses"),
    *("dashboard", "discussion_topics", "external_tools", "files", "gradebooks", "groups", "login", "quizzes"),
    *("submissions", "users", "wiki_pages"),
)
_ACTIONS = ("index", "show", "create", "update", "destroy", "new", "edit", "user_dashboard", "api_show", "stats")

_CORRECTIONS: Mapping[str, Mapping[str, Any]] = {
    "canvas_logs.web_logs.web_application_controller": {"kind": Kind.OPEN_ENUM, "values": _CONTROLLERS},
    "canvas_logs.web_logs.web_application_action": {"kind": Kind.OPEN_ENUM, "values": _ACTIONS},
    "canvas_logs.web_logs.http_status": {"kind": Kind.INTEGER_ENUM, "values": _HTTP_STATUSES},
    # Values for enums whose values are not known. An enum with nothing but the unspecified marker would have a single
    # value, and the official client cannot load such an enum.
    "canvas.groups.default_view": {"values": ("feed",)},
    "canvas.master_courses_migration_results.import_type": {"values": ("full", "selective")},
    "canvas.web_conference_participants.participation_type": {"values": ("initiator", "invitee", "attendee")},
}


def spec_tables() -> tuple[Table, ...]:
    """Return all tables of `tables.csv`, in its order. Raises ValueError for an unknown type."""
    changes = {(row["namespace"], row["table"], row["date"]) for row in spec.rows("changes.csv")}
    changed = Counter((namespace, table) for namespace, table, _ in changes)
    tables = parse_tables(spec.rows("tables.csv"), json.loads(spec.read("nested.json"))["columns"])
    return tuple(replace(table, version=1 + changed[table.namespace, table.name]) for table in tables)


def parse_tables(rows: Iterable[Mapping[str, str]], nested: Mapping[str, Mapping[str, Any]]) -> tuple[Table, ...]:
    """Parse rows of `tables.csv`, given the properties of nested columns by qualified name."""
    keys: dict[tuple[str, str], list[Column]] = {}
    values: dict[tuple[str, str], list[Column]] = {}
    for row in rows:
        identity = row["namespace"], row["table"]
        keys.setdefault(identity, [])
        values.setdefault(identity, [])
        (keys if row["key"] == "1" else values)[identity].append(_column(row, nested))
    return tuple(
        Table(namespace=namespace, name=name, key=tuple(key), value=tuple(values[namespace, name]))
        for (namespace, name), key in keys.items()
    )


def _column(row: Mapping[str, str], nested: Mapping[str, Mapping[str, Any]]) -> Column:
    qualified = f"{row['namespace']}.{row['table']}.{row['column']}"
    column = Column(
        name=row["column"],
        kind=Kind.STRING,
        nullable=row["nullable"] == "1",
        max_length=int(row["max_length"]) if row["max_length"] else None,
        values=tuple(value for value in spec.alternatives(row["enum"]) if value != UNSPECIFIED),
        references=spec.alternatives(row["references"]),
    )
    listed = bool(row["enum"] or row["enum_source"])
    if row["type"] == "array":
        item = replace(
            column,
            name="",
            nullable=False,
            kind=_scalar("string", row["format"].removeprefix("string"), listed),
        )
        column = replace(column, kind=Kind.ARRAY, items=item, values=(), max_length=None)
    elif row["type"] == "object" and qualified in nested:
        fields = tuple(_field(name, facts) for name, facts in nested[qualified].items())
        column = replace(column, kind=Kind.OBJECT, fields=fields)
    else:
        column = replace(column, kind=_scalar(row["type"], row["format"], listed))
    return replace(column, **_CORRECTIONS.get(qualified, {}))


def _scalar(word: str, form: str, listed: bool) -> Kind:
    if listed and word == "string":
        return Kind.ENUM
    try:
        return _KINDS[word, form]
    except KeyError:
        raise ValueError(f"unknown type {word!r} with format {form!r}") from None


def _field(name: str, facts: Mapping[str, Any]) -> Column:
    """Parse a property of `nested.json`: JSON Schema, except that `required` is a property of each field."""
    values = tuple(value for value in facts.get("enum", ()) if value != UNSPECIFIED)
    nullable = not facts.get("required", False)
    if facts["type"] == "array":
        return Column(
            name=name,
            kind=Kind.ARRAY,
            nullable=nullable,
            items=_field("", {**facts["items"], "required": True}),
        )
    kind = _scalar(facts["type"], facts.get("format", ""), "enum" in facts)
    return Column(name=name, kind=kind, nullable=nullable, values=values)
