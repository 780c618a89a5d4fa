import pytest

from dapkit.sandbox.data.catalogue import Catalogue, spec_tables
from dapkit.sandbox.data.column_generators import COLUMNS, MOMENTS, TARGETS, TEXTS, WHOLE_NUMBERS, meaning


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("sortable_name", "sortable_name"),
        ("email", "mail("),
        ("description", "html("),
        ("public_description", "remark("),
        ("question_text", "remark("),
        ("lti_context_id", "uuid_text("),
        ("migration_id", "'i' || hexadecimal("),
        ("redirect_uri", "url("),
        ("last_login_ip", "ipv4("),
        ("no_such_name_anywhere", "subject("),
    ],
)
def test_a_name_says_what_a_text_is(name: str, word: str) -> None:
    assert meaning(TEXTS, name).startswith(word)


def test_dates_that_are_planned_lie_ahead() -> None:
    assert meaning(MOMENTS, "due_at") == meaning(MOMENTS, "state_valid_until") != meaning(MOMENTS, "graded_at")
    assert meaning(MOMENTS, "created_at") == "born"
    assert meaning(MOMENTS, "updated_at") == "ts"


def test_every_name_has_a_meaning() -> None:
    for meanings in (TEXTS, WHOLE_NUMBERS, MOMENTS):
        assert meaning(meanings, "anything at all")


def test_single_columns_exist() -> None:
    catalogue = Catalogue(spec_tables())
    for qualified in (*COLUMNS, *TARGETS):
        namespace, table, name = qualified.split(".")
        columns = {column.name: column for column in catalogue.table(namespace, table).columns}
        assert name in columns
        assert bool(columns[name].references) == (qualified in TARGETS)
