from dapkit.sandbox.data import edge_cases
from dapkit.sandbox.data.catalogue import Catalogue, spec_tables
from dapkit.sandbox.data.population import DEFAULT, EDGE, POPULATIONS, population

CATALOGUE = Catalogue((*spec_tables(), *edge_cases.TABLES))


def test_populations_and_their_owners_are_tables() -> None:
    for name, each in POPULATIONS.items():
        assert CATALOGUE.find(name) is not None, name
        assert each.owner is None or CATALOGUE.find(each.owner) is not None, name


def test_owners_form_no_circle() -> None:
    for name in POPULATIONS:
        seen = [name]
        while (owner := population(seen[-1]).owner) is not None:
            assert owner not in seen
            seen.append(owner)


def test_a_table_without_an_entry_has_a_population() -> None:
    assert population("canvas.brand_new") is DEFAULT
    assert population("edge.brand_new") is EDGE
