"""Sample columns of every kind, and a writer of small tables in a session whose zone is not UTC."""

import datetime as dt
import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import strategies as st

from dapkit.sandbox.data.catalogue import Column, Kind, Table
from dapkit.sandbox.data.formats import write_format

NASTY = (
    "plain",
    "",
    " leading and trailing ",
    "tab\there",
    "line\nfeed",
    "carriage\rreturn",
    "both\r\n",
    'say "hello"',
    '"',
    "comma, semicolon; pipe|",
    "back\\slash",
    "trailing\\",
    "\\N",
    "\\.",
    "\\t",
    "NULL",
    "null",
    "#comment",
    "'; DROP TABLE x; --",
    "\b\f\v\x01\x1f\x7f\x85\u2028\u2029",
    "é ß Ω Ж 中文 العربية हिन्दी 👩‍🎓 e\u0301",
    '{"a": "b\\n\\"c\\"", "d": [1, null]}',
    "<p>a &amp; b</p>",
    "__dap_oversized_truncated__",
    "\ufeffmark",
)


@dataclass(frozen=True)
class Cell:
    """A value in SQL, and what a reader of flat text, JSON and Parquet must get."""

    sql: str
    text: str
    json: Any
    parquet: Any


@dataclass(frozen=True)
class Specimen:
    """A column of one kind with values in its physical type."""

    column: Column
    sql_type: str
    cells: list[Cell] = field(default_factory=list)

    @property
    def table(self) -> Table:
        return Table(
            namespace="edge",
            name="specimen",
            key=(Column(name="id", kind=Kind.INT64),),
            value=(self.column,),
        )

    @property
    def select_sql(self) -> str:
        """One row for each value, one with a null, and a deleted one."""
        values = [*(cell.sql for cell in self.cells), "NULL", "NULL"]
        rows = (f"({i}, CAST({value} AS {self.sql_type}))" for i, value in enumerate(values))
        return (
            "SELECT TIMESTAMP '2024-02-29 23:59:59.123' AS ts,"
            f" CASE WHEN k0 = {len(self.cells) + 1} THEN 'D' ELSE 'U' END AS action, k0, v0"
            f" FROM (VALUES {', '.join(rows)}) AS rows(k0, v0) ORDER BY k0"
        )


def _nullable(kind: Kind, **facts: Any) -> Column:
    return Column(name="specimen", kind=kind, nullable=True, **facts)


def _item(kind: Kind, **facts: Any) -> Column:
    return Column(name="", kind=kind, **facts)


def _same(*values: int | str) -> list[Cell]:
    """Return cells for values that are the same in every format."""
    return [Cell(_quote(v) if isinstance(v, str) else str(v), str(v), v, v) for v in values]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _instants() -> list[Cell]:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    rows = (
        ("2024-02-29 23:59:59.123", "2024-02-29T23:59:59.123Z"),
        ("1969-12-31 23:59:59.999", "1969-12-31T23:59:59.999Z"),
        ("2024-03-10 02:30:00", "2024-03-10T02:30:00.000Z"),
        ("2024-02-29 23:59:59.123456", "2024-02-29T23:59:59.123456Z"),
        ("9999-12-31 23:59:59.999999", "9999-12-31T23:59:59.999999Z"),
        ("0001-01-01 00:00:00", "0001-01-01T00:00:00.000Z"),
    )
    cells = []
    for sql, text in rows:
        micros = (dt.datetime.fromisoformat(f"{sql}+00:00") - epoch) // dt.timedelta(microseconds=1)
        cells.append(Cell(f"TIMESTAMP '{sql}'", text, text, micros))
    far = (
        ("make_timestamp(12024, 1, 1, 0, 0, 0)", "+12024-01-01T00:00:00.000000Z", 317273587200000000),
        ("make_timestamp(-43, 3, 15, 1, 2, 3.5)", "-0043-03-15T01:02:03.500000Z", -63517820276500000),
        ("make_timestamp(0, 12, 31, 0, 0, 0)", "0000-12-31T00:00:00.000Z", -62135683200000000),
    )
    return cells + [Cell(sql, text, text, micros) for sql, text, micros in far]


def _floats(*more: Cell) -> list[Cell]:
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return [
        Cell("0.5", "0.5", 0.5, 0.5),
        Cell("-1", "-1.0", -1.0, -1.0),
        *(Cell(f"'{sql}'", word, word, float(sql)) for sql, word in words.items()),
        *more,
    ]


def _specimens() -> list[Specimen]:
    scalars = [
        Specimen(_nullable(Kind.INT16), "SMALLINT", _same(-32768, 0, 32767)),
        Specimen(_nullable(Kind.INT32), "INTEGER", _same(-(2**31), 2**31 - 1)),
        Specimen(_nullable(Kind.INT64), "BIGINT", _same(-(2**63), 2**53 + 1, 2**63 - 1)),
        Specimen(_nullable(Kind.INTEGER_ENUM, values=(200, 404)), "INTEGER", _same(200, 404)),
        Specimen(_nullable(Kind.FLOAT32), "FLOAT", _floats(Cell("1e-7", "1e-07", 1e-7, 1.0000000116860974e-07))),
        Specimen(
            _nullable(Kind.FLOAT64),
            "DOUBLE",
            _floats(
                Cell("0.1::DOUBLE + 0.2::DOUBLE", "0.30000000000000004", 0.1 + 0.2, 0.1 + 0.2),
                Cell("1e300", "1e+300", 1e300, 1e300),
                Cell("5e-324", "5e-324", 5e-324, 5e-324),
            ),
        ),
        Specimen(_nullable(Kind.NUMBER), "DOUBLE", _floats()),
        Specimen(_nullable(Kind.NUMBER), "DECIMAL(9,2)", [Cell("'-12.50'", "-12.50", -12.5, -12.5)]),
        Specimen(
            _nullable(Kind.DECIMAL, precision=5, scale=2),
            "DECIMAL(5,2)",
            [Cell(f"'{v}'", v, Decimal(v), Decimal(v)) for v in ("999.99", "-0.05", "0.00", "100.00")],
        ),
        Specimen(
            _nullable(Kind.BOOLEAN),
            "BOOLEAN",
            [Cell("true", "true", True, True), Cell("false", "false", False, False)],
        ),
        Specimen(_nullable(Kind.DATETIME), "TIMESTAMP", _instants()),
        Specimen(
            _nullable(Kind.DATE),
            "DATE",
            [
                Cell("DATE '2024-02-29'", "2024-02-29", "2024-02-29", dt.date(2024, 2, 29)),
                Cell("DATE '0001-01-01'", "0001-01-01", "0001-01-01", dt.date(1, 1, 1)),
                Cell("DATE '9999-12-31'", "9999-12-31", "9999-12-31", dt.date(9999, 12, 31)),
            ],
        ),
        Specimen(_nullable(Kind.TIME), "TIME", _same("00:00:00", "23:59:59", "12:34:56.789")),
    ]
    strings = [
        Specimen(_nullable(kind), "VARCHAR", _same(*NASTY))
        for kind in (Kind.STRING, Kind.TRUNCATABLE, Kind.OPEN_ENUM, Kind.JSON)
    ]
    words = [
        Specimen(_nullable(Kind.ENUM, values=("a",)), "VARCHAR", _same("a", "__dap_unspecified__")),
        Specimen(_nullable(Kind.UUID), "VARCHAR", _same("0b0e7d06-5c1e-4c2b-9d2c-111111111111")),
        Specimen(_nullable(Kind.IPV4), "VARCHAR", _same("192.0.2.7")),
        Specimen(_nullable(Kind.IPV6), "VARCHAR", _same("2001:db8::1")),
        Specimen(_nullable(Kind.IP), "VARCHAR", _same("192.0.2.7", "::ffff:192.0.2.7")),
        *(
            Specimen(
                _nullable(kind),
                "VARCHAR",
                [Cell(_quote('{"b":["\\n",null]}'), '{"b":["\\n",null]}', {"b": ["\n", None]}, '{"b":["\\n",null]}')],
            )
            for kind in (Kind.FREE_OBJECT, Kind.ANY)
        ),
        Specimen(_nullable(Kind.ANY), "VARCHAR", [Cell("'12'", "12", 12, "12"), Cell("'\"x\"'", '"x"', "x", '"x"')]),
    ]
    return [*scalars, *strings, *words, *_arrays()]


def _arrays() -> list[Specimen]:
    objects = _item(Kind.OBJECT, fields=(_nullable(Kind.STRING), Column(name="at", kind=Kind.DATETIME, nullable=True)))
    return [
        Specimen(
            _nullable(Kind.ARRAY, items=_item(Kind.INT64)),
            "BIGINT[]",
            [Cell("[1, -2]", "[1,-2]", [1, -2], [1, -2]), Cell("[]", "[]", [], [])],
        ),
        Specimen(
            _nullable(Kind.ARRAY, items=_item(Kind.STRING)),
            "VARCHAR[]",
            [
                Cell(
                    "['a\tb', '\\', NULL, '']",
                    '["a\\tb","\\\\",null,""]',
                    ["a\tb", "\\", None, ""],
                    ["a\tb", "\\", None, ""],
                ),
                Cell("[NULL]", "[null]", [None], [None]),
            ],
        ),
        Specimen(
            _nullable(Kind.ARRAY, items=_item(Kind.DATE)),
            "DATE[]",
            [Cell("[DATE '2024-01-02']", '["2024-01-02"]', ["2024-01-02"], [dt.date(2024, 1, 2)])],
        ),
        Specimen(
            _nullable(Kind.ARRAY, items=_item(Kind.ARRAY, items=_item(Kind.BOOLEAN))),
            "BOOLEAN[][]",
            [Cell("[[true], [], NULL]", "[[true],[],null]", [[True], [], None], [[True], [], None])],
        ),
        Specimen(
            _nullable(Kind.ARRAY, items=objects),
            'STRUCT("specimen" VARCHAR, "at" TIMESTAMP)[]',
            [
                Cell(
                    "[{'specimen': 'x', 'at': NULL}, NULL, {'specimen': NULL, 'at': NULL}]",
                    '[{"specimen":"x"},null,null]',
                    [{"specimen": "x"}, None, None],
                    [{"specimen": "x", "at": None}, None, None],
                )
            ],
        ),
    ]


@pytest.fixture(params=_specimens(), ids=lambda s: f"{s.column.kind}-{s.sql_type}")
def specimen(request: pytest.FixtureRequest) -> Specimen:
    chosen: Specimen = request.param
    return chosen


@pytest.fixture(scope="session")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        opened.execute("SET TimeZone = 'America/Denver'")
        yield opened


@pytest.fixture(scope="session")
def values() -> Callable[[str, Iterable[str]], Specimen]:
    """Create a specimen from values of a kind whose physical type is text or DOUBLE."""

    def values(kind: str, literals: Iterable[str]) -> Specimen:
        sql_type = "DOUBLE" if kind == "float64" else "VARCHAR"
        return Specimen(_nullable(Kind(kind)), sql_type, [Cell(sql, "", None, None) for sql in literals])

    return values


@pytest.fixture(scope="session")
def quote() -> Callable[[str], str]:
    return _quote


@pytest.fixture(scope="session")
def texts() -> st.SearchStrategy[list[str]]:
    """All Unicode texts that a database can store, with many control characters and escapes."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.lists(st.text(st.one_of(st.sampled_from("\\\"'\b\t\n\v\f\r,N.{}"), characters)), max_size=20)


@pytest.fixture(scope="session")
def nested() -> Specimen:
    """A nested column within a nested column, with all fields, some fields, no fields, and null."""
    inner = Column(
        name="deep",
        kind=Kind.OBJECT,
        nullable=True,
        fields=(
            Column(name="at", kind=Kind.DATETIME, nullable=True),
            Column(name="list", kind=Kind.ARRAY, nullable=True, items=_item(Kind.STRING)),
        ),
    )
    theme = Column(name="theme", kind=Kind.STRING, nullable=True)
    column = Column(name="settings", kind=Kind.OBJECT, nullable=True, fields=(theme, inner))
    sql = (
        """{'theme': 'a"b\t', 'deep': {'at': TIMESTAMP '2024-01-01', 'list': ['\\']}}""",
        "{'theme': '', 'deep': {'at': NULL, 'list': NULL}}",
        "{'theme': NULL, 'deep': {'at': NULL, 'list': []}}",
        "{'theme': NULL, 'deep': NULL}",
    )
    sql_type = 'STRUCT("theme" VARCHAR, "deep" STRUCT("at" TIMESTAMP, "list" VARCHAR[]))'
    return Specimen(column, sql_type, [Cell(value, "", None, None) for value in sql])


Write = Callable[..., bytes]


@pytest.fixture(scope="session")
def write(connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Write rows in a format and return the object; texts are decompressed."""
    folder = tmp_path_factory.mktemp("objects")

    def write(specimen: Specimen, form: str, mode: str = "expanded", incremental: bool = False) -> bytes:
        path = folder / f"object.{form}"
        write_format(
            connection,
            specimen.select_sql,
            specimen.table,
            format=form,
            mode=mode,
            incremental=incremental,
            path=path,
        )
        content = path.read_bytes()
        return content if form == "parquet" else gzip.decompress(content)

    return write
