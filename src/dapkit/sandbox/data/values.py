"""The values of a row's columns, as SQL over the row's number, birth, last change and hashes.

A value follows from the kind of its column and from the column's name (see `column_generators`); keys and references
follow from `relations`. Nulls, difficult texts, truncation markers and unspecified enum values are mixed in at low
rates.

Each decision uses other bits of a hash, for example `>> 40` for null and `>> 46` for a difficult text. With the same
bits, the decisions would depend on each other, and some combinations would never occur.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import Template

from dapkit.sandbox.data.catalogue import TRUNCATED, UNSPECIFIED, Catalogue, Column, Kind, Table
from dapkit.sandbox.data.column_generators import (
    COLUMNS,
    DATES,
    INTEGERS,
    PRESENT,
    TARGET_ROWS,
    TEXTS,
    template_for,
)
from dapkit.sandbox.data.relations import USERS, Relations
from dapkit.sandbox.data.sql import identifier, literal, pick

PHYSICAL: Mapping[Kind, str] = {
    Kind.INT16: "SMALLINT",
    Kind.INT32: "INTEGER",
    Kind.INT64: "BIGINT",
    Kind.FLOAT32: "FLOAT",
    Kind.FLOAT64: "DOUBLE",
    Kind.NUMBER: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.DATETIME: "TIMESTAMP",
    Kind.DATE: "DATE",
    Kind.TIME: "TIME",
}
"""The DuckDB types of simple kinds. All other kinds are VARCHAR or composed of other types."""

_INTEGER_KINDS = (Kind.INT16, Kind.INT32, Kind.INT64)
_USUAL_STATES = ("active", "available", "registered", "published", "completed")
# One value in so many.
_MARKER_RATE = 512
_NASTY_RATE = 64


def physical_type(column: Column) -> str:
    """Return the DuckDB type of a column's values."""
    match column.kind:
        case Kind.DECIMAL:
            return f"DECIMAL({column.precision}, {column.scale})"
        case Kind.INTEGER_ENUM:
            return PHYSICAL[column.integer]
        case Kind.ARRAY:
            assert column.items is not None
            return f"{physical_type(column.items)}[]"
        case Kind.OBJECT:
            fields = ", ".join(f"{identifier(field.name)} {physical_type(field)}" for field in column.fields)
            return f"STRUCT({fields})"
        case _:
            return PHYSICAL.get(column.kind, "VARCHAR")


class Values:
    """The columns of one table as SQL. `hashes` are the definitions of the hashes that this SQL uses, by name."""

    def __init__(self, table: Table, catalogue: Catalogue, relations: Relations, special: Mapping[str, str]) -> None:
        self._table = table
        self._columns = {column.name: column for column in table.value}
        self._catalogue = catalogue
        self._relations = relations
        self._special = {**COLUMNS, **special}
        self._people = relations.ancestor_row(table.qualified, USERS)
        self.hashes: dict[str, str] = {}

    def key(self, position: int) -> str:
        """Return SQL for a key column, in its physical type. Without a template, the first column alone is unique."""
        column = self._table.key[position]
        special = self._special.get(f"{self._table.qualified}.{column.name}")
        if special is not None:
            sql = self._fill(special, column.name)
        elif column.kind in _INTEGER_KINDS and position == 0:
            sql = self._relations.key_sql(self._table.qualified, "i")
        elif position == 0 and column.kind is not Kind.UUID:
            sql = "'key-' || i"
        else:
            sql = self._non_null(column, column.name)
        return f"CAST({sql} AS {physical_type(column)})"

    def value(self, column: Column) -> str:
        """Return SQL for a value column, in its physical type."""
        condition = PRESENT.get(f"{self._table.qualified}.{column.name}")
        if condition is None:
            sql = self._column(column)
        else:
            present = self._column(replace(column, nullable=False))
            sql = f"CASE WHEN {self._fill(condition, column.name)} THEN {present} END"
        return f"CAST({sql} AS {physical_type(column)})"

    def _column(self, column: Column) -> str:
        special = self._special.get(f"{self._table.qualified}.{column.name}")
        if special is not None:
            return self._text_limit(column, self._fill(special, column.name))
        if column.name == "deleted_at" and column.nullable:
            return "CASE WHEN deleted THEN make_timestamp(ts * 1000) END"
        if column.name == "workflow_state" and column.values:
            return self._state(column)
        if column.name == "context_code" and self._options("context_id"):
            context = self._columns["context_type"], self._columns["context_id"]
            parts = [self._polymorphic(each, self._options(each.name)) for each in context]
            return self._text_limit(column, f"lower({parts[0]}) || '_' || {parts[1]}")
        options = self._options(column.name)
        if options:
            return self._polymorphic(column, options)
        if column.references:
            return self._reference(column)
        return self._nullable(column, self._non_null(column, column.name))

    def _hash(self, path: str, *, changing: bool = False) -> str:
        """Return the name of a hash of row and path, a BIGINT that is not negative.

        With `changing`, the hash is different after every change of the row.
        """
        source = "changing" if changing else "seed"
        # One hash of one integer: see `Relations.seed_sql`. The path keeps the hashes of different columns independent,
        # and stays the same when columns are added to the table.
        slot = zlib.crc32(path.encode())
        definition = f"(hash(xor({source}, {slot}::BIGINT)) >> 2)::BIGINT"
        for name, known in self.hashes.items():
            if known == definition:
                return name
        name = f"h{len(self.hashes)}"
        self.hashes[name] = definition
        return name

    def _fill(self, template: str, path: str) -> str:
        """Replace the placeholders of a template of `column_generators`."""
        names: dict[str, str] = {}
        if "$h" in template:
            names["h"] = self._hash(path)
        if "$v" in template:
            names["v"] = self._hash(path, changing=True)
        if "$p" in template or "$n" in template:
            names["n"] = "i" if self._people is None else self._people
            names["p"] = self._person()
        if "$u" in template:
            names["u"] = self._relations.user_row(self._table.qualified)
        return Template(template).substitute(names)

    def _person(self) -> str:
        people = self._table.qualified if self._people is None else USERS
        row = "i" if self._people is None else self._people
        self.hashes["person"] = self._relations.seed_sql(people, row)
        return "person"

    def _nullable(self, column: Column, sql: str) -> str:
        if not column.nullable:
            return sql
        return f"CASE WHEN ({self._hash(column.name)} >> 40) % 8 > 0 THEN {sql} END"

    def _state(self, column: Column) -> str:
        alive = [str(value) for value in column.values if value != "deleted"] or [str(column.values[0])]
        usual = next((value for value in _USUAL_STATES if value in alive), None)
        weighted = [*alive, *[usual] * (6 * len(alive))] if usual else alive
        chosen = self._unspecified(pick(weighted, self._hash(column.name, changing=True)), column.name)
        return f"CASE WHEN deleted THEN 'deleted' ELSE {chosen} END" if "deleted" in column.values else chosen

    def _unspecified(self, sql: str, path: str) -> str:
        rare = f"({self._hash(path)} >> 30) % {_MARKER_RATE} = 0"
        return f"CASE WHEN {rare} THEN {literal(UNSPECIFIED)} ELSE {sql} END"

    def _reference(self, column: Column) -> str:
        row_hash = self._hash(column.name)
        source = self._table.qualified
        target = next((name for name in column.references if self._catalogue.find(name)), None)
        if target is None:
            return self._nullable(column, f"1 + {row_hash} % 500")
        row = TARGET_ROWS.get(f"{source}.{column.name}")
        if row is not None:
            return self._relations.key_sql(target, f"({self._fill(row, column.name)})")
        main = column.name in ("user_id", "canvas_user_id", "author_id")
        sql = self._relations.reference_sql(source, target, row_hash, main=main)
        if not column.nullable or (target != source and self._relations.ancestor_row(source, target)):
            return sql
        if target == source:
            return f"CASE WHEN i > 0 AND ({row_hash} >> 40) % 4 = 0 THEN {sql} END"
        share = 1 if main or column.name.removesuffix("_id") in target else 4
        return f"CASE WHEN ({row_hash} >> 40) % 8 >= {share} THEN {sql} END"

    def _options(self, name: str) -> tuple[tuple[str, str | None], ...]:
        """Return (class name, table or None) for either column of a pair such as context_type and context_id."""
        stem = name.removesuffix("_id").removesuffix("_type")
        holder, kind = self._columns.get(f"{stem}_id"), self._columns.get(f"{stem}_type")
        if stem == name or holder is None or kind is None or holder.kind not in _INTEGER_KINDS:
            return ()
        if not kind.values:
            return tuple((class_name(table), table) for table in holder.references)
        # Values that name no known table are possible as long as the key may be null.
        options = tuple((str(value), self._class_table(str(value), holder.references)) for value in kind.values)
        if holder.nullable or not any(table for _, table in options):
            return options
        return tuple(option for option in options if option[1])

    def _class_table(self, name: str, references: Sequence[str]) -> str | None:
        """Return the table that contains the rows of a class, or None if the catalogue does not have it."""
        for named in (table_name(name.replace("::", "")), table_name(name.rpartition("::")[2])):
            known = [*references] or [f"{space}.{named}" for space in (self._table.namespace, "canvas")]
            for table in known:
                if table.partition(".")[2] == named and (references or self._catalogue.find(table)):
                    return table if self._catalogue.find(table) else None
        return None

    def _polymorphic(self, column: Column, options: tuple[tuple[str, str | None], ...]) -> str:
        """Return SQL for one column of a pair. Both use the same hash, so that they choose the same option."""
        source = self._table.qualified
        stem = column.name.removesuffix("_id").removesuffix("_type")
        row_hash = self._hash(f"{stem}_type")
        holder, kind = self._columns[f"{stem}_id"], self._columns[f"{stem}_type"]
        owned = [
            number
            for number, (_, table) in enumerate(options)
            if table not in (None, source) and self._relations.ancestor_row(source, str(table))
        ]
        # The class of an ancestor comes first and most often, so that most rows refer to what they belong to.
        order = [*owned[:1] * (7 * len(options)), *range(len(options))]
        cases = []
        for number, (name, table) in enumerate(options):
            if column.name.endswith("_type"):
                result = literal(name)
            elif table is None:
                result = "NULL" if column.nullable else f"1 + {row_hash} % 500"
            else:
                result = self._relations.reference_sql(source, table, f"({row_hash} >> 8)")
            cases.append(f"WHEN {number} THEN {result}")
        choice = f"([{', '.join(map(str, order))}])[1 + {row_hash} % {len(order)}]"
        sql = f"CASE {choice} {' '.join(cases)} END"
        if kind.kind is Kind.ENUM and column.name.endswith("_type"):
            sql = self._unspecified(sql, f"{stem}_type")
        if kind.nullable and holder.nullable:
            return f"CASE WHEN ({row_hash} >> 40) % 8 > 0 THEN {sql} END"
        return sql

    def _non_null(self, column: Column, path: str) -> str:
        """Return SQL for a column according to its kind; never null."""
        name = column.name or path
        match column.kind:
            case Kind.STRING | Kind.TRUNCATABLE:
                return self._text(column, path)
            case Kind.ENUM | Kind.OPEN_ENUM:
                return self._enumeration(column, path)
            case Kind.INTEGER_ENUM:
                values = ", ".join(map(str, column.values))
                return f"([{values}])[1 + {self._hash(path)} % {len(column.values)}]"
            case Kind.INT16 | Kind.INT32 | Kind.INT64:
                return self._fill(template_for(INTEGERS, name), path)
            case Kind.DATETIME | Kind.DATE | Kind.TIME:
                return self._date_time(column, path)
            case Kind.ARRAY:
                return self._array(column, path)
            case Kind.OBJECT:
                fields = (f"{identifier(field.name)} := {self._field(field, path)}" for field in column.fields)
                return f"struct_pack({', '.join(fields)})"
            case _:
                return self._fill(_BY_KIND[column.kind], path)

    def _text(self, column: Column, path: str) -> str:
        row_hash = self._hash(path)
        usual = self._fill(template_for(TEXTS, column.name or path), path)
        sql = f"CASE WHEN ({row_hash} >> 46) % {_NASTY_RATE} = 0 THEN nasty({row_hash} >> 24) ELSE {usual} END"
        sql = self._text_limit(column, sql)
        if column.kind is Kind.TRUNCATABLE:
            rare = f"({row_hash} >> 34) % {_MARKER_RATE} = 0"
            return f"CASE WHEN {rare} THEN {literal(TRUNCATED)} ELSE {sql} END"
        return sql

    def _text_limit(self, column: Column, sql: str) -> str:
        return sql if column.max_length is None else f"left({sql}, {column.max_length})"

    def _enumeration(self, column: Column, path: str) -> str:
        if not column.values:
            return literal(UNSPECIFIED)
        sql = pick([str(value) for value in column.values], self._hash(path))
        if column.kind is Kind.OPEN_ENUM:
            other = self._text_limit(column, f"'other_' || ({self._hash(path)} >> 8) % 20")
            sql = f"CASE WHEN ({self._hash(path)} >> 20) % 16 = 0 THEN {other} ELSE {sql} END"
        return self._unspecified(sql, path)

    def _date_time(self, column: Column, path: str) -> str:
        moment = self._fill(template_for(DATES, column.name or path), path)
        micros = f"CASE WHEN {self._hash(path)} % 8 = 0 THEN ({self._hash(path)} >> 8) % 1000 ELSE 0 END"
        exact = column.name in ("created_at", "updated_at") or column.kind is Kind.DATE
        return f"make_timestamp(({moment}) * 1000{'' if exact else ' + ' + micros})"

    def _array(self, column: Column, path: str) -> str:
        assert column.items is not None
        items = (self._non_null(column.items, f"{path}[{number}]") for number in range(3))
        kept = f"([0, 1, 1, 1, 2, 2, 3])[1 + {self._hash(path)} % 7]"
        return f"list_slice([{', '.join(items)}], 1, {kept})"

    def _field(self, field: Column, path: str) -> str:
        inner = f"{path}.{field.name}"
        sql = self._non_null(replace(field, name=field.name), inner)
        if field.nullable:
            sql = f"CASE WHEN ({self._hash(inner)} >> 41) % 2 = 0 THEN {sql} END"
        return f"CAST({sql} AS {physical_type(field)})"


_BY_KIND: Mapping[Kind, str] = {
    Kind.FLOAT32: "$v % 10001 / 8",
    Kind.FLOAT64: "CASE WHEN $h % 16 = 0 THEN ($v % 1000003) / 7.0e3 ELSE $v % 10001 / 100 END",
    Kind.NUMBER: "$v % 100001 / 100",
    Kind.DECIMAL: "($v % 19999 - 9999) / 100",
    Kind.BOOLEAN: "$v % 4 = 0",
    Kind.UUID: "uuid_text($h, hash($h) >> 2)",
    Kind.IPV4: "ipv4($h)",
    Kind.IPV6: "ipv6($h)",
    Kind.IP: "CASE WHEN $h % 4 = 0 THEN ipv6($h >> 2) ELSE ipv4($h >> 2) END",
    Kind.JSON: "json_text($v)",
    Kind.FREE_OBJECT: '\'{"id":\' || $h % 1000 || \',"text":\' || to_json(sentence($h)) || \',"deep":{"a":[null]}}\'',
    Kind.ANY: "(['null', 'true', '12.5', '\"text\"', '[1,2]', '{\"a\":1}'])[1 + $h % 6]",
}


def class_name(table: str) -> str:
    """Return the class whose rows a table contains: `Account` for catalog.accounts."""
    words = table.partition(".")[2]
    singular = f"{words[:-3]}y" if words.endswith("ies") else words.removesuffix("s")
    return "".join(word.capitalize() for word in singular.split("_"))


def table_name(name: str) -> str:
    """Return the table, without namespace, that contains the rows of a class: `wiki_pages` for WikiPage."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    for ending, plural in (("quiz", "quizzes"), ("y", "ies")):
        if words.endswith(ending):
            return words.removesuffix(ending) + plural
    return f"{words}s"
