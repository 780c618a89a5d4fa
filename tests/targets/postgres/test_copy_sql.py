"""The SQL that converts texts into rows."""

from tests.support.table_schemas import INT32, TEXT, Node, table_of

from dapkit.decode.tsv import Header
from dapkit.model import Table
from dapkit.targets.postgres.copy_sql import STAGING, CopySql, create_staging
from dapkit.targets.postgres.dialect import PostgresDialect

ENUM: Node = {"type": "string", "enum": ["a", "__dap_unspecified__"]}
CLOSED: Node = {"type": "string", "enum": ["a"]}
OPEN: Node = {"oneOf": [{"type": "string", "enum": ["known"]}, TEXT]}
MOMENT: Node = {"type": "string", "format": "date-time"}
LIVE = '"canvas"."things"'


def reading(table: Table, *, careful: bool = False, action: bool = False) -> CopySql:
    meta = ["meta.ts", *(["meta.action"] if action else [])]
    names = [*(f"key.{c.name}" for c in table.key), *(f"value.{c.name}" for c in table.value)]
    return CopySql(PostgresDialect(), table, Header((*meta, *names)), careful=careful)


def test_most_tables_are_copied_directly() -> None:
    each = reading(table_of({"name": TEXT, "at": MOMENT, "state": ENUM, "settings": {"type": "object"}}))
    assert each.direct
    assert each.copy(LIVE) == f'COPY {LIVE} ("meta.ts", "id", "name", "at", "state", "settings") FROM STDIN'
    assert not reading(each.table, careful=True).direct


def test_lists_and_open_enums_are_copied_as_text_and_other_columns_by_type() -> None:
    numbers: Node = {"type": "array", "items": INT32}
    each = reading(table_of({"numbers": numbers, "open": OPEN, "at": MOMENT}), action=True)
    assert not each.direct
    assert each.create_raw()[-1] == (
        'CREATE TEMPORARY TABLE dapkit_raw ("meta.ts" text, "meta.action" text, "key.id" bigint, "value.numbers" text,'
        ' "value.open" text, "value.at" timestamp) ON COMMIT DROP'
    )
    assert each.add_values() == [
        'INSERT INTO "canvas"."things__open" (value) SELECT DISTINCT raw."value.open" FROM pg_temp.dapkit_raw AS raw'
        ' WHERE raw."value.open" IS NOT NULL ON CONFLICT (value) DO NOTHING'
    ]
    assert each.insert(STAGING) == (
        f'INSERT INTO {STAGING} ("meta.ts", "meta.action", "id", "numbers", "open", "at")'
        ' SELECT raw."meta.ts"::timestamp, raw."meta.action", raw."key.id",'
        ' CASE WHEN raw."value.numbers" IS NOT NULL THEN ARRAY(SELECT (item)::integer'
        ' FROM jsonb_array_elements_text(raw."value.numbers"::jsonb) AS list(item))::integer[] END,'
        ' "of open".id, raw."value.at" FROM pg_temp.dapkit_raw AS raw'
        ' LEFT JOIN "canvas"."things__open" AS "of open" ON "of open".value = raw."value.open"'
    )
    assert each.insert(LIVE).startswith(f'INSERT INTO {LIVE} ("id", "numbers", "open", "at") SELECT raw."key.id"')


def test_careful_copies_repair_bad_values() -> None:
    each = reading(
        table_of({"at": MOMENT, "state": ENUM, "closed": CLOSED, "name": TEXT | {"maxLength": 3}}), careful=True
    )
    at, state, closed, name = (each.value(column) for column in each.table.value)
    assert at == (
        r"""(CASE WHEN raw."value.at" ~ '^(\+|-|0000-)' THEN CASE WHEN raw."value.at" LIKE '+%'"""
        """ THEN '9999-12-31 23:59:59.999999' ELSE '0001-01-01 00:00:00' END ELSE raw."value.at" END)::timestamp"""
    )
    assert "THEN '__dap_unspecified__' ELSE" in state
    assert "THEN NULL ELSE" in closed
    assert name == 'raw."value.name"', "a cast would cut it without a word"
    assert all("text" in sql for sql in each.create_raw()[-1].removesuffix(") ON COMMIT DROP").split(", "))


def test_columns_that_may_have_bad_values() -> None:
    table = table_of({"state": ENUM, "closed": CLOSED, "size": INT32}, required=["state", "closed"])
    suspects = reading(table, careful=True).suspects()
    assert [(each.column.name, each.repairable) for each in suspects] == [("state", True), ("closed", False)]
    assert suspects[1].condition == """raw."value.closed" NOT IN ('a')"""
    assert reading(table, careful=True).find(suspects[1]) == (
        'SELECT raw."key.id", raw."value.closed" FROM pg_temp.dapkit_raw AS raw'
        """ WHERE raw."value.closed" NOT IN ('a')"""
    )


def test_a_column_that_the_file_lacks_is_not_copied() -> None:
    table = table_of({"name": TEXT, "open": OPEN})
    each = CopySql(PostgresDialect(), table, Header(("meta.ts", "key.id")))
    assert each.insert(LIVE) == f'INSERT INTO {LIVE} ("id") SELECT raw."key.id" FROM pg_temp.dapkit_raw AS raw'


def test_the_raw_table_has_the_types_of_the_table() -> None:
    table = table_of({"state": ENUM})
    assert create_staging(PostgresDialect(), table)[-1] == (
        'CREATE TEMPORARY TABLE dapkit_staging ("meta.ts" timestamp, "meta.action" text, "id" bigint,'
        ' "state" "canvas"."things__state") ON COMMIT DROP'
    )
