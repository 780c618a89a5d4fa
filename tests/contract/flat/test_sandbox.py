"""Contract: a flat file has every value of the sandbox's tables, from each format and mode of the service."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.contract.flat.flattening import flat_rows, flatten, has_objects, plan_for
from tests.contract.flat.reference import Row, ordered, read_rows

from dapkit.model import FlatFormat, Format, Mode, Nested, Table, VersionedSchema
from dapkit.sandbox.data.dataset import DataQuery, Dataset
from dapkit.schema import read_table
from dapkit.tables.engine import Engine, EngineOptions

NOW = 1_790_000_000_000
DAYS = 40 * 86_400_000

DATASET = Dataset(scale=0.02)
EDGE = DATASET.tables("edge")
CANVAS = (
    "accounts",
    "assignment_groups",
    "assignments",
    "courses",
    "enrollments",
    "pseudonyms",
    "quiz_questions",
    "rubrics",
    "scores",
    "submissions",
    "users",
    "web_conferences",
)
TABLES = [*(("edge", name) for name in EDGE), *(("canvas", name) for name in CANVAS)]
SLOW = {"wide", "long_rows", "web_logs"}
WIRES = [(format_, mode) for format_ in Format for mode in Mode]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for all tests."""
    with Engine(EngineOptions(temp_folder=tmp_path_factory.mktemp("spilled"), threads=1)) as engine:
        yield engine


def table_of(namespace: str, name: str) -> Table:
    """Return a table of the sandbox."""
    document, version = DATASET.schema(namespace, name, NOW)
    return read_table(VersionedSchema(namespace=namespace, table=name, version=version, document=document))


def download(table: Table, format_: Format, mode: Mode, folder: Path, *, increment: bool) -> list[Path]:
    """Write the files that the service would send."""
    since = NOW - DAYS if increment else None
    query = DataQuery(
        namespace=table.namespace, table=table.name, format=format_, mode=mode, since_ms=since, until_ms=NOW
    )
    paths = []
    for number, part in enumerate(DATASET.parts(query)):
        path = folder / f"{format_}-{mode}-{number}"
        if DATASET.write(part, path):
            paths.append(path)
    return paths


def expected_rows(table: Table, format_: Format, paths: list[Path], *, increment: bool) -> list[Row]:
    """Return what the reference reads from downloaded files."""
    rows = [row for path in paths for row in read_rows(path, format_, table, action=increment)]
    return ordered(rows, table)


def check(engine: Engine, table: Table, folder: Path, *, increment: bool, modes: tuple[Mode, ...]) -> None:
    """Compare flat Parquet from each format with the reference, and the files with each other."""
    first: tuple[list[Row], object] | None = None
    for format_ in Format:
        for mode in modes:
            paths = download(table, format_, mode, folder, increment=increment)
            plan = plan_for(table, format_, action=increment)
            flat = flatten(engine, plan, paths, folder)
            found = flat_rows(flat, plan)
            assert found == expected_rows(table, format_, paths, increment=increment), (format_, mode)
            schema = pq.read_schema(flat).remove_metadata()
            first = first or (found, schema)
            assert (found, schema) == first, (format_, mode)


@pytest.mark.parametrize("name", sorted(set(EDGE) - SLOW))
def test_a_snapshot_is_the_same_from_each_format(name: str, engine: Engine, tmp_path: Path) -> None:
    """In the mode that nests, which has more ways to go wrong; the other one is in the slow test."""
    check(engine, table_of("edge", name), tmp_path, increment=False, modes=(Mode.CONDENSED,))


@pytest.mark.parametrize("name", ["moments", "nested", "nested_deep", "texts", "many_parts"])
def test_an_increment_is_the_same_from_each_format(name: str, engine: Engine, tmp_path: Path) -> None:
    """Rows that were deleted have their key alone."""
    check(engine, table_of("edge", name), tmp_path, increment=True, modes=(Mode.EXPANDED,))


@pytest.mark.slow
@pytest.mark.parametrize("increment", [False, True])
@pytest.mark.parametrize(("namespace", "name"), TABLES)
def test_every_table_in_every_mode(namespace: str, name: str, increment: bool, engine: Engine, tmp_path: Path) -> None:
    """The same for all tables, in both modes where they differ."""
    table = table_of(namespace, name)
    modes = tuple(Mode) if has_objects(table.columns) else (Mode.CONDENSED,)
    check(engine, table, tmp_path, increment=increment, modes=modes)


FORMS = [(format_, nested) for format_ in FlatFormat for nested in Nested if (format_, nested) != ("parquet", "struct")]


def check_forms(engine: Engine, table: Table, folder: Path, *, increment: bool, wire: Format) -> None:
    """Compare each form of flat files with the reference."""
    paths = download(table, wire, Mode.EXPANDED, folder, increment=increment)
    expected = expected_rows(table, wire, paths, increment=increment)
    for format_, nested in FORMS:
        plan = plan_for(table, wire, nested=nested, action=increment, format_=format_)
        assert flat_rows(flatten(engine, plan, paths, folder), plan) == expected, (format_, nested)


@pytest.mark.parametrize(
    "name",
    ["arrays", "arrays_of_objects", "far_years", "float_specials", "moments", "nested_deep", "texts", "anything"],
)
def test_csv_and_json_lines_have_the_same_values(name: str, engine: Engine, tmp_path: Path) -> None:
    """Read back as the page "Flat files" says, with lists and structs or JSON text."""
    check_forms(engine, table_of("edge", name), tmp_path, increment=False, wire=Format.JSONL)


@pytest.mark.slow
@pytest.mark.parametrize("increment", [False, True])
@pytest.mark.parametrize("wire", list(Format))
@pytest.mark.parametrize(("namespace", "name"), TABLES)
def test_every_table_in_every_form(
    namespace: str, name: str, wire: Format, increment: bool, engine: Engine, tmp_path: Path
) -> None:
    """The same for all tables, from each format of the service."""
    check_forms(engine, table_of(namespace, name), tmp_path, increment=increment, wire=wire)


@pytest.mark.parametrize("name", ["nested", "nested_deep", "arrays", "arrays_of_objects"])
def test_json_text_is_the_same_text_from_each_format(name: str, engine: Engine, tmp_path: Path) -> None:
    """Nested values as JSON text are equal as texts, not only as JSON."""
    table = table_of("edge", name)
    texts = []
    for format_, mode in WIRES:
        plan = plan_for(table, format_, nested=Nested.JSON)
        flat = flatten(engine, plan, download(table, format_, mode, tmp_path, increment=False), tmp_path)
        texts.append(sorted(map(repr, pq.read_table(flat).drop_columns(["_ts"]).to_pylist())))
    assert texts == [texts[0]] * len(WIRES)
