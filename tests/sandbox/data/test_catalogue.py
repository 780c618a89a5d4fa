import pytest

from dapkit import spec
from dapkit.sandbox.data.catalogue import Catalogue, Column, Kind, parse_tables, spec_tables

LINES = list(spec.rows("tables.csv"))
CHANGES = list(spec.rows("changes.csv"))
TABLES = spec_tables()
CATALOGUE = Catalogue(TABLES)


def line(**facts: str) -> dict[str, str]:
    return {**dict.fromkeys(LINES[0], ""), "namespace": "canvas", "table": "things", "nullable": "0", **facts}


def test_every_line_of_the_catalogue_becomes_a_column() -> None:
    columns = [(row["namespace"], row["table"], row["column"]) for row in LINES]
    parsed = [(table.namespace, table.name, column.name) for table in TABLES for column in table.columns]
    assert sorted(parsed) == sorted(columns)
    assert len(set(columns)) == len(columns)


def test_namespaces_and_tables_are_found() -> None:
    catalogue = CATALOGUE
    assert catalogue.namespaces() == ("canvas", "canvas_logs", "catalog", "new_quizzes")
    assert catalogue.tables("canvas_logs") == ("web_logs",)
    names = {row["table"] for row in LINES if row["namespace"] == "canvas"}
    assert set(catalogue.tables("canvas")) == names
    assert catalogue.table("catalog", "orders").qualified == "catalog.orders"
    assert catalogue.find("canvas.sis_batches") is None
    with pytest.raises(KeyError):
        catalogue.tables("canvas_log")
    with pytest.raises(KeyError):
        catalogue.table("canvas", "web_logs")


def test_tables_without_a_source_for_their_columns_are_absent() -> None:
    assert [CATALOGUE.find(f"canvas.{name}") for name in ("media_objects", "sis_batches", "usage_rights")] == [None] * 3


def test_tables_known_from_migrations_are_marked_as_inferred() -> None:
    inferred = {row["table"] for row in LINES if row["evidence"] == "inferred"}
    assert inferred == {"accessibility_issues", "accessibility_resource_scans", "custom_grade_statuses"}
    assert {row["evidence"] for row in LINES if row["table"] in inferred} == {"inferred"}


def test_a_change_names_a_column_and_gives_its_table_a_new_version() -> None:
    columns = {(row["namespace"], row["table"], row["column"]) for row in LINES}
    assert {(row["namespace"], row["table"], row["column"]) for row in CHANGES} <= columns
    changed = {f"{row['namespace']}.{row['table']}" for row in CHANGES}
    assert {table.qualified: table.version for table in TABLES if table.version > 1} == dict.fromkeys(changed, 2)


def test_the_changes_of_april_2026_are_known() -> None:
    columns = {f"{table.name}.{column.name}": column for table in TABLES for column in table.columns}
    status = columns["submissions.custom_grade_status_id"]
    assert (status.kind, status.nullable, status.references) == (Kind.INT64, True, ("canvas.custom_grade_statuses",))
    assert (columns["pseudonyms.is_inst_id"].kind, columns["pseudonyms.is_inst_id"].nullable) == (Kind.BOOLEAN, True)
    assert columns["access_tokens.workflow_state"].values == ("active", "deleted", "pending")
    assert {"adjacent-links", "headings-start-at-h2"} < set(columns["accessibility_issues.rule_type"].values)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("canvas.assignments.submission_types", Kind.ARRAY),
        ("canvas.assignments.lti_context_id", Kind.TRUNCATABLE),
        ("canvas.submissions.points_deducted", Kind.NUMBER),
        ("canvas.rubrics.data", Kind.JSON),
        ("canvas.learning_outcomes.calculation_int", Kind.INT16),
        ("canvas.courses.settings", Kind.OBJECT),
        ("canvas.groups.default_view", Kind.ENUM),
        ("canvas_logs.web_logs.remote_ip", Kind.IP),
        ("canvas_logs.web_logs.http_status", Kind.INTEGER_ENUM),
        ("canvas_logs.web_logs.web_application_controller", Kind.OPEN_ENUM),
        ("canvas_logs.web_logs.web_application_action", Kind.OPEN_ENUM),
    ],
)
def test_kinds_of_columns(name: str, kind: Kind) -> None:
    namespace, table, column = name.split(".")
    columns = {each.name: each for each in CATALOGUE.table(namespace, table).columns}
    assert columns[column].kind is kind


def test_an_array_s_limits_belong_to_its_items() -> None:
    keys = {column.name: column for column in CATALOGUE.table("canvas", "developer_keys").columns}
    uris = keys["redirect_uris"]
    assert uris.items == Column(name="", kind=Kind.STRING, max_length=255)
    assert uris.max_length is None


def test_nested_properties_keep_their_order_and_requirement() -> None:
    groups = CATALOGUE.table("canvas", "assignment_groups")
    rules = next(column for column in groups.value if column.name == "rules")
    assert [field.name for field in rules.fields] == ["drop_highest", "drop_lowest", "never_drop"]
    assert [field.nullable for field in rules.fields] == [True, True, False]
    assert rules.fields[2].items == Column(name="", kind=Kind.INT32)


def test_the_unspecified_marker_is_not_a_value() -> None:
    rows = [line(column="state", type="string", enum="a|b|__dap_unspecified__")]
    (table,) = parse_tables(rows, {})
    assert table.value[0].values == ("a", "b")


def test_an_unknown_type_is_reported() -> None:
    with pytest.raises(ValueError, match=r"'string' with format 'colour'"):
        parse_tables([line(column="c", type="string", format="colour")], {})
