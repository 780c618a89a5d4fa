from dapkit.sandbox.data import edge_cases
from dapkit.sandbox.data.catalogue import Catalogue, spec_tables
from dapkit.sandbox.data.population import DEFAULT, EDGE, POPULATIONS, population

CATALOGUE = Catalogue((*spec_tables(), *edge_cases.TABLES))


def test_populations_and_their_parents_are_tables() -> None:
    for name, each in POPULATIONS.items():
        assert CATALOGUE.find(name) is not None, name
        assert each.parent is None or CATALOGUE.find(each.parent) is not None, name


def test_parents_form_no_cycle() -> None:
    for name in POPULATIONS:
        seen = [name]
        while (parent := population(seen[-1]).parent) is not None:
            assert parent not in seen
            seen.append(parent)


def test_a_table_without_an_entry_has_a_population() -> None:
    assert population("canvas.brand_new") is DEFAULT
    assert population("edge.brand_new") is EDGE
