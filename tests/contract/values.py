r"""Contract: the database stores exactly the values of the service; any repair is counted.

Each family of types has values that have broken loaders: the ends of its range, and texts that have a special meaning
in COPY, CSV, SQL or JSON.
"""

import json
import stat
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from tests.contract.database_fixture import Outcome, Values
from tests.contract.table_fixture import TableFixture
from tests.support.table_schemas import INT32, TEXT, Node, table_of
from tests.support.tsv_parts import deleted

from dapkit.errors import BadValueError
from dapkit.model import Table
from dapkit.targets.base import BadValues, LoadOptions

_STRINGS = [
    "", " ", "  both ends  ", "NULL", r"\N", r"a\Nb", "tab\there", "line\nbreak", "\r", "carriage\r\nreturn", "\\",
    r"ends in \ "[:-1], r"\t is no tab", "\b\f\v\x01\x1f\x7f", "it's \"quoted\"", "''", '""', "a,b;c|d", "--", "/*",
    "%s %(x)s {0} $1 ?", ":name", "\u2028\u2029\u0085\ufeff", "👩‍🎓 Ž é 中文 العربية", "e\u0301", "x" * 70_000,
    "[1, 2]", "{}", "true", "2024-01-01", "0x10", "+1", "01", "1e5", r"\x41\101\q", "__dap_unspecified__",
]  # fmt: skip
_MOMENTS = [
    datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999), datetime(1969, 12, 31, 23, 59, 59, 999_000),
    datetime(2024, 2, 29, 12, 30, 0, 1), datetime(2024, 3, 10, 2, 30), datetime(1582, 10, 10), datetime(1900, 1, 1),
]  # fmt: skip
_UUIDS = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
          "550e8400-e29b-41d4-a716-446655440000"]  # fmt: skip
_V4, _V6 = ["0.0.0.0", "255.255.255.255", "192.0.2.1"], ["::", "::1", "2001:db8::ff00:42:8329", "::ffff:192.0.2.1"]
_NUMBERS: Node = {"type": "array", "items": {"type": "integer", "format": "int64"}}
_ENUM = ["it's", "two words", "étudiant", "a,b", r"back\slash", "__dap_unspecified__"]
_HYPHENS = ["adjacent-links", "headings-start-at-h2", "-", "--", "a-", "-1", "1-2"]
_V4_NODE, _V6_NODE = {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}
_SETTINGS: Node = {
    "type": "object",
    "properties": {"theme": TEXT, "size": INT32, "deep": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
    "additionalProperties": False,
}
_MARKER = "__dap_oversized_truncated__"

FAMILIES: dict[str, tuple[Node, list[Any]]] = {
    "int16": ({"type": "integer", "format": "int16"}, [0, -1, 2**15 - 1, -(2**15)]),
    "int32": (INT32, [0, -1, 2**31 - 1, -(2**31)]),
    "int64": ({"type": "integer", "format": "int64"}, [0, -1, 2**63 - 1, -(2**63), 2**53 + 1]),
    "integer": ({"type": "integer"}, [0, 2**63 - 1]),
    "int-enum": ({"type": "integer", "enum": [200, 404]}, [200, 404]),
    "float32": ({"type": "number", "format": "float32"}, [0.0, 0.5, -2.25, 16777216.0, 2.0**-100, 2.0**127]),
    "float64": ({"type": "number", "format": "float64"}, [0.1, 1 / 3, -1e-300, 1.7976931348623157e308, 2.0**-1022]),
    "number": ({"type": "number"}, [0.0, 1.5, 1e22, 123456789.123456]),
    "decimal": (
        {"type": "number", "multipleOf": 0.01, "exclusiveMinimum": -1000, "exclusiveMaximum": 1000},
        [Decimal("0.00"), Decimal("999.99"), Decimal("-999.99"), Decimal("0.10")],
    ),
    "decimal-large": (
        {"type": "number", "multipleOf": 0.000001, "exclusiveMinimum": -(10**15), "exclusiveMaximum": 10**15},
        [Decimal("999999999999999.999999"), Decimal("-0.000001"), Decimal("123456789012345.678901")],
    ),
    "boolean": ({"type": "boolean"}, [True, False]),
    "text": (TEXT, _STRINGS),
    "text-json": ({"type": "string", "format": "json"}, ['{"a": [1, null]}', "not { json", '"\\u00e9\\n"']),
    "text-bounded": (TEXT | {"maxLength": 40}, [text for text in _STRINGS if len(text) <= 40] + ["👩" * 40]),
    "text-marker": ({"oneOf": [{"type": "string", "const": _MARKER}, TEXT]}, [_MARKER, "", "\t"]),
    "text-marker-bounded": (
        {"oneOf": [{"type": "string", "const": _MARKER}, TEXT | {"maxLength": 5}]},
        [_MARKER, "", "\t👩\\n"],
    ),
    "enum": ({"type": "string", "enum": _ENUM}, _ENUM),
    "enum-hyphens": ({"type": "string", "enum": _HYPHENS}, _HYPHENS),
    "open-enum": ({"oneOf": [{"type": "string", "enum": _ENUM}, TEXT]}, [*_ENUM, "never seen\t", "", "étudiant "]),
    "date-time": ({"type": "string", "format": "date-time"}, _MOMENTS),
    "date": ({"type": "string", "format": "date"}, [date.min, date.max, date(1900, 2, 28), date(2024, 2, 29)]),
    "time": ({"type": "string", "format": "time"}, [time(0), time(23, 59, 59), time(12, 0, 1)]),
    "uuid": ({"type": "string", "format": "uuid"}, _UUIDS),
    "ipv4": (_V4_NODE, _V4),
    "ipv6": (_V6_NODE, _V6),
    "ip": ({"oneOf": [_V4_NODE, _V6_NODE]}, [*_V4, *_V6[1:]]),
    "array-int": (_NUMBERS, [[], [1], [2**63 - 1, -(2**63), None], [None]]),
    "array-text": ({"type": "array", "items": TEXT}, [[], [""], [None, "NULL", "a\tb\nc\\d\"e'f", "{,}", "👩"]]),
    "array-boolean": ({"type": "array", "items": {"type": "boolean"}}, [[True, False, None]]),
    "array-float": ({"type": "array", "items": {"type": "number"}}, [[0.1, -1e300, None]]),
    "array-moment": (
        {"type": "array", "items": {"type": "string", "format": "date-time"}},
        [["2024-02-29T12:00:00.000Z", None]],
    ),
    "array-enum": ({"type": "array", "items": {"type": "string", "enum": _ENUM}}, [[], [_ENUM[0], _ENUM[4]]]),
    "array-enum-hyphens": ({"type": "array", "items": {"type": "string", "enum": _HYPHENS}}, [[], _HYPHENS[:3]]),
    "array-array": ({"type": "array", "items": _NUMBERS}, [[[1, 2], [], None]]),
    "array-object": ({"type": "array", "items": _SETTINGS}, [[], [{"theme": "a\tb", "size": 1}, {"theme": "\\"}]]),
    "object": (
        _SETTINGS,
        [{"theme": "dark"}, {"theme": "\t\n\\\"'", "size": -1, "deep": {"on": True}}, {"theme": "👩", "size": None}],
    ),
    "object-free": ({"type": "object"}, [{}, {"a": [1, {"b": None}], "\t": "\n"}]),
    "untyped": ({}, [{"a": 1}, [1, "x"]]),
}
"""By name: the schema of a column, and values that such a column may have."""


def _column(node: Node, *, required: bool = False) -> Table:
    return table_of({"v": node}, required=["v"] if required else [])


def _values(fixture: TableFixture, family: str) -> list[Any]:
    """Return the values of a family that the database stores unchanged."""
    values = FAMILIES[family][1]
    if family == "open-enum" and not fixture.database.support.enum_blanks:
        return [value for value in values if not value.endswith(" ")]
    return values


class ValuesContract:
    @pytest.mark.slow
    @pytest.mark.parametrize("family", FAMILIES)
    def test_each_type_round_trips_in_every_kind_of_load(self, fixture: TableFixture, family: str) -> None:
        node, values = FAMILIES[family][0], _values(fixture, family)
        table = _column(node)
        states = [*values, None]
        by_id = dict(enumerate(states, 1))
        self._assert_loaded(fixture, table, by_id)
        # Change each value, add a row, and restore everything with a full refresh.
        turned = dict(enumerate([states[-1], *states[:-1], states[0]], 1))
        fixture.apply_increment(table, [{"id": key, "v": value} for key, value in turned.items()])
        self._assert_values(fixture, table, turned)
        fixture.full_refresh(table, [{"id": key, "v": value} for key, value in by_id.items()])
        self._assert_values(fixture, table, by_id)

    def _assert_loaded(self, fixture: TableFixture, table: Table, by_id: dict[int, Any]) -> None:
        counts = fixture.initial_load(table, [{"id": key, "v": value} for key, value in by_id.items()])
        assert counts.written == len(by_id)
        assert not counts.repaired
        self._assert_values(fixture, table, by_id)

    def _assert_values(self, fixture: TableFixture, table: Table, by_id: dict[int, Any]) -> None:
        fixture.assert_holds(table, [{"id": key, "v": value} for key, value in by_id.items()])

    @pytest.mark.slow
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_required_column_of_each_type_round_trips(self, fixture: TableFixture, family: str) -> None:
        node, values = FAMILIES[family][0], _values(fixture, family)
        table = _column(node, required=True)
        self._assert_loaded(fixture, table, dict(enumerate(values, 1)))

    @pytest.mark.parametrize("required", [False, True])
    def test_all_types_in_one_table_round_trip_in_every_kind_of_load(
        self, fixture: TableFixture, required: bool
    ) -> None:
        nodes = {f'{name} of "all", it\'s': node for name, (node, _) in FAMILIES.items()}
        table = table_of(nodes, required=nodes if required else ())
        nulls = [] if required else [None]
        columns = list(zip(nodes, [[*_values(fixture, family), *nulls] for family in FAMILIES], strict=True))
        rows: list[Values] = [
            {"id": number} | {name: values[number % len(values)] for name, values in columns}
            for number in range(len(_STRINGS) + 1)
        ]
        assert not fixture.initial_load(table, rows).repaired
        fixture.assert_holds(table, rows)
        turned = [row | {"id": row["id"] + 1} for row in rows]
        fixture.apply_increment(table, turned)
        fixture.assert_holds(table, [rows[0], *turned])
        fixture.full_refresh(table, rows)
        fixture.assert_holds(table, rows)

    @pytest.mark.parametrize("family", ["int16", "int64", "text-bounded", "uuid", "date", "date-time"])
    def test_a_key_may_be_of_any_simple_type(self, fixture: TableFixture, family: str) -> None:
        node, values = FAMILIES[family]
        if family == "text-bounded" and not fixture.database.support.exact_keys:
            values = ["", "a", "\t", "👩" * 40]
        table = table_of({"n": INT32}, key={"k": node})
        fixture.initial_load(table, [{"k": value, "n": 1} for value in values])
        fixture.apply_increment(table, [deleted(k=values[0]), *({"k": value, "n": 2} for value in values[1:])])
        fixture.assert_holds(table, [{"k": value, "n": 2} for value in values[1:]])

    def test_keys_differ_by_case_accents_and_spaces(self, fixture: TableFixture) -> None:
        if not fixture.database.support.exact_keys:
            pytest.skip("this database treats them as equal")
        table = table_of({"n": INT32}, key={"k": TEXT | {"maxLength": 20}})
        keys = ["a", "A", "á", "a ", " a", "", "ß", "ss", "e\u0301", "é"]
        fixture.initial_load(table, [{"k": key, "n": 1} for key in keys])
        fixture.apply_increment(table, [{"k": key, "n": 2} for key in keys])
        fixture.assert_holds(table, [{"k": key, "n": 2} for key in keys])

    # Values that a database may be unable to store

    def test_a_nul_in_a_text(self, fixture: TableFixture) -> None:
        unusual = UnusualValue(TEXT, wire="a\0b\0", usual="ab\\0", kept="a\0b\0", repaired="ab")
        self._check_unusual(fixture, unusual, fixture.database.support.nul)

    def test_a_nul_inside_json(self, fixture: TableFixture) -> None:
        unusual = UnusualValue(
            _SETTINGS,
            wire='{"theme": "a\\u0000b\\\\u0000"}',
            usual={"theme": "\\u0000"},
            kept={"theme": "a\0b\\u0000"},
            repaired={"theme": "ab\\u0000"},
        )
        self._check_unusual(fixture, unusual, fixture.database.support.json_nul)

    @pytest.mark.parametrize("kind", ["float32", "float64"])
    @pytest.mark.parametrize("sign", ["", "-"])
    def test_infinity(self, fixture: TableFixture, kind: str, sign: str) -> None:
        unusual = UnusualValue(FAMILIES[kind][0], f"{sign}Infinity", 0.5, kept=float(f"{sign}inf"), repaired=None)
        self._check_unusual(fixture, unusual, fixture.database.support.infinity)

    @pytest.mark.parametrize("kind", ["float32", "float64"])
    def test_not_a_number(self, fixture: TableFixture, kind: str) -> None:
        unusual = UnusualValue(FAMILIES[kind][0], "NaN", 0.5, kept=float("nan"), repaired=None)
        self._check_unusual(fixture, unusual, fixture.database.support.nan)

    @pytest.mark.parametrize(("wire", "wanted"), [("+12024-01-01", datetime.max), ("-0044-03-15", datetime.min)])
    @pytest.mark.parametrize("form", ["date-time", "date"])
    def test_years_out_of_range_are_clamped(
        self, fixture: TableFixture, form: str, wire: str, wanted: datetime
    ) -> None:
        if form == "date":
            unusual = UnusualValue(FAMILIES[form][0], wire, date(2024, 2, 29), kept=None, repaired=wanted.date())
        else:
            wire += "T12:00:00.000Z"
            unusual = UnusualValue(FAMILIES[form][0], wire, datetime(2024, 2, 29, 12), kept=None, repaired=wanted)
        self._check_unusual(fixture, unusual, Outcome.REPAIRED)

    def test_an_unknown_value_of_an_enum_with_an_unspecified_value(self, fixture: TableFixture) -> None:
        unusual = UnusualValue(FAMILIES["enum"][0], "new", "it's", kept="new", repaired="__dap_unspecified__")
        self._check_unusual(fixture, unusual, fixture.database.support.unknown_enum)

    def test_an_unknown_value_of_an_enum_without_an_unspecified_value(self, fixture: TableFixture) -> None:
        unusual = UnusualValue({"type": "string", "enum": ["a", "b"]}, "new", "a", kept="new", repaired=None)
        self._check_unusual(fixture, unusual, fixture.database.support.unknown_enum)

    @pytest.mark.parametrize(
        ("node", "wire"),
        [
            (FAMILIES["float64"][0], "Infinity"),
            (FAMILIES["float64"][0], "NaN"),
            ({"type": "string", "enum": ["a", "b"]}, "new"),
        ],
        ids=["infinity", "nan", "enum"],
    )
    def test_a_repair_to_null_in_a_required_column_is_rejected(
        self, fixture: TableFixture, node: Node, wire: str
    ) -> None:
        has = fixture.database.support
        if {"Infinity": has.infinity, "NaN": has.nan, "new": has.unknown_enum}[wire] is Outcome.KEPT:
            pytest.skip("this database can store it")
        table = _column(node, required=True)
        fixture.initial_load(table, [{"id": 1, "v": "a" if "enum" in node else 0.5}])
        with fixture.rejected(table, BadValueError):
            fixture.apply_increment(table, [{"id": 2, "v": wire}])

    def _check_unusual(self, fixture: TableFixture, unusual: "UnusualValue", outcome: Outcome) -> None:
        """Check in every kind of load that a value is stored, or repaired and recorded, or rejected on request."""
        table = _column(unusual.node)
        strict = LoadOptions(bad_values=BadValues.FAIL)
        usual: Values = {"id": 1, "v": unusual.usual}
        rows = [usual, {"id": 2, "v": unusual.wire}]
        if outcome is Outcome.KEPT:
            fixture.initial_load(table, rows, strict)
            assert repr(fixture.rows(table)[1]["v"]) == repr(unusual.kept)
            return
        with pytest.raises(BadValueError):
            fixture.initial_load(table, rows, strict)
        fixture.reopen()
        side = fixture.folder / "side.jsonl"
        for load in (fixture.initial_load, fixture.apply_increment, fixture.full_refresh):
            counts = load(table, rows, LoadOptions(side_file=side))
            assert counts.repaired == {"v": 1}
            fixture.assert_holds(table, [usual, {"id": 2, "v": unusual.repaired}])
        lines = [json.loads(line) for line in side.read_text(encoding="utf-8").splitlines()]
        line = {"namespace": "canvas", "table": "things", "key": {"id": "2"}, "column": "v", "value": unusual.wire}
        assert lines == [line] * 3, "one for each load"
        assert stat.S_IMODE(side.stat().st_mode) == 0o600
        with fixture.rejected(table, BadValueError):
            fixture.apply_increment(table, rows, strict)


@dataclass(frozen=True)
class UnusualValue:
    """A value that not every database can store: as sent, stored and repaired; and a usual value of the same type."""

    node: Node
    wire: str
    usual: object
    _: KW_ONLY
    kept: object
    repaired: object
