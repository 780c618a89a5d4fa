from dapkit.sandbox.data import edge_cases
from dapkit.sandbox.data.catalogue import Catalogue, Kind


def kinds_of(names: tuple[str, ...] | None = None) -> set[Kind]:
    tables = [table for table in edge_cases.TABLES if names is None or table.name in names]
    return {column.kind for table in tables for column in table.columns}


def test_every_kind_occurs() -> None:
    assert kinds_of() == set(Kind)


def test_values_that_the_official_client_cannot_load_are_in_separate_tables() -> None:
    for table in edge_cases.TABLES:
        special = {
            "composite": len(table.key) > 1,
            "free": any(column.kind is Kind.FREE_OBJECT for column in table.value),
            "any": any(column.kind is Kind.ANY for column in table.value),
            "objects in arrays": any(
                column.items is not None and column.items.kind is Kind.OBJECT for column in table.value
            ),
        }
        assert sum(special.values()) <= 1, table.name
        assert not any(special.values()) or len(table.value) <= 2, table.name


def test_names_are_unique_and_special_values_name_columns_that_exist() -> None:
    names = [table.name for table in edge_cases.TABLES]
    assert len(set(names)) == len(names)
    catalogue = Catalogue(edge_cases.TABLES)
    for qualified in edge_cases.VALUES:
        namespace, table, name = qualified.split(".")
        assert name in {column.name for column in catalogue.table(namespace, table).columns}, qualified
    assert all(catalogue.find(name) is not None for name in edge_cases.PART_ROWS)


def test_the_wide_table_is_wide() -> None:
    assert len(Catalogue(edge_cases.TABLES).table("edge", "wide").value) == 300
