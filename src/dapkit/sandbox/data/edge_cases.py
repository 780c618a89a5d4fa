"""The namespace `edge`, which the real service does not have: tables for edge cases that the known tables lack.

Each table covers one family of types or one shape. What the official client cannot load into a database (composite
keys, enums with one value, objects without properties, arrays of objects, schemas without a type, NaN) is in separate
tables, so that it can load the others.
"""

from collections.abc import Mapping
from itertools import chain, cycle, islice

from dapkit.sandbox.data import schema_evolution
from dapkit.sandbox.data.catalogue import Column, Kind, Table

PART_ROWS: Mapping[str, int] = {"edge.many_parts": 25, "edge.long_rows": 5}
"""Maximum rows per object, for tables that should have many objects in spite of few rows."""

_ID = Column(name="id", kind=Kind.INT64)
_CREATED = Column(name="created_at", kind=Kind.DATETIME)
_UPDATED = Column(name="updated_at", kind=Kind.DATETIME)


def _table(name: str, *columns: Column, key: tuple[Column, ...] = (_ID,)) -> Table:
    return Table(namespace="edge", name=name, key=key, value=columns)


def _pair(name: str, kind: Kind, *, max_length: int | None = None) -> tuple[Column, Column]:
    """Return a required column and a nullable one of the same kind."""
    return (
        Column(name=name, kind=kind, max_length=max_length),
        Column(name=f"{name}_or_null", kind=kind, nullable=True, max_length=max_length),
    )


def _pairs(*kinds: Kind) -> tuple[Column, ...]:
    return tuple(chain.from_iterable(_pair(f"a_{kind.value.replace('-', '_')}", kind) for kind in kinds))


def _decimal(precision: int, scale: int, *, nullable: bool = False) -> Column:
    name = f"decimal_{precision}_{scale}"
    return Column(name=name, kind=Kind.DECIMAL, nullable=nullable, precision=precision, scale=scale)


def _array(name: str, items: Column, *, nullable: bool = False) -> Column:
    return Column(name=name, kind=Kind.ARRAY, nullable=nullable, items=items)


_COLORS = ("red", "green", "blue", "a value with spaces", "MixedCase", "dash-and_underscore", "it's quoted")
_ENUM = Column(name="color", kind=Kind.ENUM, values=_COLORS)
_FIELDS = (
    Column(name="theme", kind=Kind.STRING, nullable=True),
    Column(name="limit", kind=Kind.INT32, nullable=True),
    Column(name="ratio", kind=Kind.FLOAT64, nullable=True),
    Column(name="enabled", kind=Kind.BOOLEAN, nullable=True),
    Column(name="since", kind=Kind.DATETIME, nullable=True),
    Column(name="color", kind=Kind.ENUM, nullable=True, values=_COLORS),
)
_WIDE_KINDS = (Kind.INT32, Kind.STRING, Kind.FLOAT64, Kind.BOOLEAN, Kind.DATETIME, Kind.INT64, Kind.TRUNCATABLE)

TABLES: tuple[Table, ...] = (
    _table("integers", *_pairs(Kind.INT16, Kind.INT32, Kind.INT64)),
    _table("floats", *_pairs(Kind.FLOAT32, Kind.FLOAT64, Kind.NUMBER)),
    _table("float_specials", *_pairs(Kind.FLOAT32, Kind.FLOAT64)),
    _table("decimals", _decimal(5, 2), _decimal(9, 0), _decimal(18, 6), _decimal(38, 10, nullable=True)),
    _table("booleans", *_pairs(Kind.BOOLEAN)),
    _table(
        "texts",
        *_pairs(Kind.STRING, Kind.TRUNCATABLE),
        *_pair("nasty", Kind.STRING),
        *_pair("one_character", Kind.STRING, max_length=1),
        *_pair("ten_characters", Kind.STRING, max_length=10),
        *_pair("short_or_marker", Kind.TRUNCATABLE, max_length=16),
        Column(name="deleted_at", kind=Kind.DATETIME, nullable=True),
    ),
    _table(
        "enumerations",
        _ENUM,
        Column(name="color_or_null", kind=Kind.ENUM, nullable=True, values=_COLORS),
        Column(name="only_one", kind=Kind.ENUM, values=("only",)),
        Column(name="open", kind=Kind.OPEN_ENUM, nullable=True, values=("alpha", "beta")),
        Column(name="status", kind=Kind.INTEGER_ENUM, values=(200, 404, 500), integer=Kind.INT16),
        Column(name="status_or_null", kind=Kind.INTEGER_ENUM, nullable=True, values=(-1, 0, 1)),
    ),
    _table("enumerations_of_one", Column(name="none_known", kind=Kind.ENUM, nullable=True)),
    _table("moments", _CREATED, _UPDATED, *_pairs(Kind.DATETIME, Kind.DATE, Kind.TIME)),
    _table("far_years", *_pairs(Kind.DATETIME)),
    _table("identifiers", *_pairs(Kind.UUID), key=(Column(name="uuid", kind=Kind.UUID),)),
    _table("addresses", *_pairs(Kind.IPV4, Kind.IPV6, Kind.IP)),
    _table("json_texts", *_pairs(Kind.JSON)),
    _table(
        "nested",
        Column(name="settings", kind=Kind.OBJECT, nullable=True, fields=_FIELDS),
        Column(name="strict", kind=Kind.OBJECT, fields=(Column(name="kind", kind=Kind.STRING), *_FIELDS[1:3])),
    ),
    _table(
        "nested_deep",
        Column(
            name="outer",
            kind=Kind.OBJECT,
            nullable=True,
            fields=(
                Column(name="inner", kind=Kind.OBJECT, nullable=True, fields=_FIELDS[:3]),
                _array("numbers", Column(name="", kind=Kind.INT32), nullable=True),
            ),
        ),
    ),
    _table(
        "arrays",
        _array("numbers", Column(name="", kind=Kind.INT64)),
        _array("texts", Column(name="", kind=Kind.STRING), nullable=True),
        _array("colors", Column(name="", kind=Kind.ENUM, values=_COLORS[:3])),
        _array("moments", Column(name="", kind=Kind.DATETIME), nullable=True),
    ),
    _table("arrays_of_objects", _array("things", Column(name="", kind=Kind.OBJECT, fields=_FIELDS[:3]))),
    _table(
        "composite_keys",
        *_pairs(Kind.STRING),
        key=(
            Column(name="course", kind=Kind.INT32),
            Column(name="seat", kind=Kind.INT16),
            Column(name="role", kind=Kind.STRING, max_length=8),
        ),
    ),
    _table("text_keys", *_pairs(Kind.INT32), key=(Column(name="code", kind=Kind.STRING, max_length=32),)),
    _table("free_objects", *_pairs(Kind.FREE_OBJECT)),
    _table("anything", *_pairs(Kind.ANY)),
    _table("empty", *_pairs(Kind.STRING)),
    _table("single", *_pairs(Kind.STRING), _UPDATED),
    _table(
        "wide",
        *(
            Column(name=f"column_{number:03}", kind=kind, nullable=number % 3 > 0)
            for number, kind in enumerate(islice(cycle(_WIDE_KINDS), 300))
        ),
    ),
    _table("long_rows", *_pair("body", Kind.STRING)),
    _table("many_parts", *_pairs(Kind.STRING), _CREATED, _UPDATED),
    schema_evolution.EVOLVING,
    _table("sparse", *(Column(name=f"maybe_{number}", kind=Kind.STRING, nullable=True) for number in range(8))),
    _table(
        "reserved_names",
        *(
            Column(name=name, kind=Kind.STRING, nullable=True)
            for name in ("select", "order", "group", "user", "table", "key", "value", "meta", "ts", "action", "i")
        ),
    ),
)

_INTEGERS = {"int16": 1 << 15, "int32": 1 << 31, "int64": 1 << 63}
_DECIMALS = {
    "decimal_5_2": ("-999.99", "999.99", "0", "-0.01", "12.50"),
    "decimal_9_0": ("-999999999", "999999999", "0", "42"),
    "decimal_18_6": ("-999999999999.999999", "999999999999.999999", "0.000001", "1.5"),
    "decimal_38_10": (f"-{'9' * 28}.{'9' * 10}", f"{'9' * 28}.{'9' * 10}", "0.0000000001", "1"),
}
_FAR = "([make_timestamp(12024, 2, 29, 1, 2, 3.5), make_timestamp(-43, 3, 15, 12, 0, 0), "
_FAR += "make_timestamp(1, 1, 1, 0, 0, 0), make_timestamp(9999, 12, 31, 23, 59, 59.999999), "
_FAR += "make_timestamp(10000, 1, 1, 0, 0, 0), make_timestamp(1969, 12, 31, 23, 59, 59.999)])[1 + $h % 6]"
_SPECIALS = "(['NaN', 'Infinity', '-Infinity', '-0.0', '0', '1e-30', '3e38', '0.1'])[1 + $h % 8]"
_LONG = "CASE WHEN $h % 2 = 0 THEN 'short' ELSE left(repeat(html($h) || ' ', 12000), 1048576) END"


def _both(name: str, sql: str) -> dict[str, str]:
    return {
        f"edge.{name}": sql,
        f"edge.{name}_or_null": f"CASE WHEN ($h >> 40) % 4 > 0 THEN {sql} END",
    }


VALUES: Mapping[str, str] = {
    **{
        name: sql
        for kind, bound in _INTEGERS.items()
        for name, sql in _both(
            f"integers.a_{kind}", f"([{-bound}, {bound - 1}, 0, -1, 1, ($v >> 9) % {bound}])[1 + $h % 6]"
        ).items()
    },
    **{
        f"edge.decimals.{name}": f"([{', '.join(repr(text) for text in texts)}])[1 + $h % {len(texts)}]"
        for name, texts in _DECIMALS.items()
    },
    **_both("float_specials.a_float32", _SPECIALS),
    **_both("float_specials.a_float64", _SPECIALS),
    **_both("far_years.a_date_time", _FAR),
    **_both("texts.nasty", "nasty($h)"),
    **_both("long_rows.body", _LONG),
    "edge.composite_keys.course": "i // 3",
    "edge.composite_keys.seat": "i % 3",
    "edge.composite_keys.role": "(['a', 'b', 'é,\"'])[1 + i % 3]",
    "edge.text_keys.code": "'key ' || i || (['', ' \"q\"', ', comma', ' 😀', '\\'])[1 + i % 5]",
    **schema_evolution.VALUES,
}
"""Templates of single columns, as in the module `column_generators`."""
