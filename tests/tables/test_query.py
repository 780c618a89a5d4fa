"""SQL over tables that can read nothing else."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dapkit.errors import UsageError
from dapkit.model import FlatFormat
from dapkit.tables.engine import EngineOptions
from dapkit.tables.query import TableDatabase, TableSource, read_flat

SECRET = "nothing that a query may read"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[TableDatabase]:
    data, spilled = tmp_path / "data", tmp_path / "spilled"
    data.mkdir()
    spilled.mkdir()
    (tmp_path / "secret.txt").write_text(SECRET)
    values = "SELECT i AS id, 'name ' || i AS name FROM range(3) AS r(i)"
    duckdb.execute(f"COPY ({values}) TO '{data / 'users.parquet'}' (FORMAT parquet)")
    with TableDatabase(EngineOptions(temp_folder=spilled)) as opened:
        select = f"SELECT * FROM read_parquet('{data / 'users.parquet'}')"
        opened.add([TableSource(namespace="canvas", table="users", select=select, folder=data)])
        opened.seal()
        yield opened


def rows(database: TableDatabase, sql: str) -> list[tuple[object, ...]]:
    with database.query(sql) as relation:
        return relation.fetchall()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT max(id) FROM canvas.users", [(2,)]),
        ("WITH u AS (SELECT * FROM canvas.users) FROM u SELECT count(*);", [(3,)]),
        ("/* a comment */ SELECT 'a;b' -- ;", [("a;b",)]),
    ],
)
def test_a_query_sees_the_tables(database: TableDatabase, sql: str, expected: list[tuple[object, ...]]) -> None:
    assert rows(database, sql) == expected


@pytest.mark.parametrize(
    "sql", ["DESCRIBE canvas.users", "SHOW ALL TABLES", "EXPLAIN SELECT 1", "SUMMARIZE canvas.users"]
)
def test_queries_about_tables_are_allowed(database: TableDatabase, sql: str) -> None:
    assert rows(database, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW canvas.users",
        "DROP VIEW canvas.users",
        "CREATE TABLE t AS SELECT 1",
        "COPY (SELECT 1) TO '{data}/new.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{data}/new.csv'",
        "explain (analyze) copy (select 1) to '{data}/new.csv'",
        "EXPLAIN/**/ANALYZE COPY (SELECT 1) TO '{data}/new.csv'",
        "EXPLAIN -- \nANALYZE COPY (SELECT 1) TO '{data}/new.csv'",
        "EXPLAIN (FORMAT json, ANALYZE) COPY (SELECT 1) TO '{data}/new.csv'",
        "EXPORT DATABASE '{data}/export'",
        "ATTACH '{data}/new.duckdb' AS new",
        "SET enable_external_access = true",
        "SET GLOBAL allowed_directories = ['/']",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CALL pragma_version()",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_text('{data}/../secret.txt')",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{data}/new.csv''')",
        "SELECT nonsense FROM canvas.users",
        "SELEC 1",
    ],
)
def test_nothing_else_is_possible(database: TableDatabase, tmp_path: Path, sql: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    filled = sql.format(data=tmp_path / "data", secret=tmp_path / "secret.txt", folder=tmp_path)
    with pytest.raises(UsageError) as caught:
        rows(database, filled)
    assert SECRET not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert rows(database, "SELECT count(*) FROM canvas.users") == [(3,)]


@pytest.mark.parametrize("name", ["with space", "it's [1] or *", "ünï?"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder, spilled = tmp_path / name, tmp_path / "spilled"
    folder.mkdir()
    duckdb.execute(
        f"COPY (SELECT 1 AS id) TO '{str(folder / 'a.parquet').replace(chr(39), chr(39) * 2)}' (FORMAT parquet)"
    )
    with TableDatabase(EngineOptions(temp_folder=spilled)) as database:
        select = read_flat(FlatFormat.PARQUET, [folder / "a.parquet"])
        database.add([TableSource(namespace="canvas", table="a", select=select, folder=folder)])
        database.seal()
        assert rows(database, "FROM canvas.a") == [(1,)]


def test_rows_are_written_to_a_file(database: TableDatabase) -> None:
    path = database.write("SELECT id FROM canvas.users ORDER BY id -- the last comment", "FORMAT csv, HEADER true")
    assert path.read_text().split() == ["id", "0", "1", "2"]
    path = database.write("SELECT 'ü;' AS text /* ; */ ; -- the end", "FORMAT csv, HEADER true")
    assert path.read_text().split() == ["text", "ü;"]
    with pytest.raises(UsageError):
        database.write("SELECT 1) TO '/tmp/x' (FORMAT csv); COPY (SELECT 1", "FORMAT csv")


def test_files_next_to_a_database_file_are_not_read(tmp_path: Path) -> None:
    file, spilled = tmp_path / "college.duckdb", tmp_path / "spilled"
    spilled.mkdir()
    (tmp_path / "secret.txt").write_text(SECRET)
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA canvas; CREATE TABLE canvas.roles AS SELECT 1 AS id")
    with TableDatabase(EngineOptions(temp_folder=spilled)) as database:
        database.attach(file)
        database.seal()
        assert rows(database, "SELECT * FROM canvas.roles") == [(1,)]
        with pytest.raises(UsageError):
            rows(database, f"SELECT * FROM read_text('{tmp_path / 'secret.txt'}')")


def test_texts_in_csv_files_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text('id,code\n1,0042\n2,""\n3,\n')
    found = duckdb.execute(read_flat(FlatFormat.CSV, [file])).fetchall()
    assert found == [("1", "0042"), ("2", ""), ("3", None)]


def test_all_rows_of_json_lines_decide_about_the_types(tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"
    file.write_text('{"code":"2024-01-01"}\n' * 30_000 + '{"code":"soon"}\n')
    assert duckdb.execute(f"SELECT max(code) FROM ({read_flat(FlatFormat.JSONL, [file])})").fetchall() == [("soon",)]


def test_a_database_file_is_read_and_never_changed(tmp_path: Path) -> None:
    file = tmp_path / "college.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA canvas; CREATE TABLE canvas.roles AS SELECT 1 AS id")
    with TableDatabase(EngineOptions(temp_folder=tmp_path)) as database:
        database.attach(file)
        database.seal()
        assert database.names == (("canvas", "roles"),)
        assert rows(database, "SELECT * FROM canvas.roles") == [(1,)]
        assert database.columns() == ("id",)
        with pytest.raises(UsageError):
            rows(database, "DELETE FROM file_1.canvas.roles")
