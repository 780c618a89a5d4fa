import pytest

from dapkit.sandbox.data.catalogue import Catalogue, spec_tables
from dapkit.sandbox.data.column_generators import (
    COLUMNS,
    DATES,
    INTEGERS,
    PRESENT,
    TARGET_ROWS,
    TEXTS,
    template_for,
)


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
def test_the_template_follows_from_the_name(name: str, word: str) -> None:
    assert template_for(TEXTS, name).startswith(word)


def test_planned_dates_are_after_birth() -> None:
    assert template_for(DATES, "due_at") == template_for(DATES, "state_valid_until") != template_for(DATES, "graded_at")
    assert template_for(DATES, "created_at") == "born"
    assert template_for(DATES, "updated_at") == "ts"


def test_every_name_has_a_template() -> None:
    for meanings in (TEXTS, INTEGERS, DATES):
        assert template_for(meanings, "anything at all")


def test_single_columns_exist() -> None:
    catalogue = Catalogue(spec_tables())
    for qualified in (*COLUMNS, *TARGET_ROWS, *PRESENT):
        namespace, table, name = qualified.split(".")
        columns = {column.name: column for column in catalogue.table(namespace, table).columns}
        assert name in columns
        if qualified not in PRESENT:
            assert bool(columns[name].references) == (qualified in TARGET_ROWS)
        else:
            assert columns[name].nullable
