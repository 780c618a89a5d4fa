"""References lead to existing rows, which are not younger; natural pairs are unique."""

import datetime
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from dapkit.sandbox.data.catalogue import Catalogue, Table, spec_tables
from dapkit.sandbox.data.population import SEATS, STUDENTS, Population, population
from dapkit.sandbox.data.relations import Relations
from dapkit.sandbox.data.timeline import DAY, HOUR, ORIGIN

Rows = Callable[[Table, int | None, int], tuple[tuple[Any, ...], ...]]
CATALOGUE = Catalogue(spec_tables())
REFERRING = [table for table in CATALOGUE if any(column.references for column in table.columns)]
CLASSES = {
    "Account": "canvas.accounts",
    "Assignment": "canvas.assignments",
    "Course": "canvas.courses",
    "CourseSection": "canvas.course_sections",
    "Group": "canvas.groups",
    "Quizzes::Quiz": "canvas.quizzes",
    "Quizzes::QuizSubmission": "canvas.quiz_submissions",
    "Submission": "canvas.submissions",
    "User": "canvas.users",
    "WikiPage": "canvas.wiki_pages",
}


def places(table: Table) -> dict[str, int]:
    return {column.name: place for place, column in enumerate(table.columns, start=2)}


def created(qualified: str, rows: Rows, now: int) -> dict[Any, datetime.datetime | None]:
    """Return `created_at` of each row by key, or None if the table has no such column."""
    table = CATALOGUE.table(*qualified.split("."))
    place = places(table).get("created_at")
    return {row[2]: None if place is None else row[place] for row in rows(table, None, now)}


def test_referenced_rows_exist_and_are_not_younger(rows: Rows, now: int) -> None:
    for table in REFERRING:
        check_references(table, rows, now)


def check_references(table: Table, rows: Rows, now: int) -> None:
    born = places(table).get("created_at")
    for name, place in places(table).items():
        column = table.columns[place - 2]
        if len(column.references) != 1 or CATALOGUE.find(column.references[0]) is None:
            continue
        if f"{name.removesuffix('_id')}_type" in places(table) and name.endswith("_id"):
            continue
        parents = created(column.references[0], rows, now)
        for row in rows(table, None, now):
            if row[place] is None:
                continue
            assert row[place] in parents, (table.qualified, name)
            parent = parents[row[place]]
            if born is not None and row[born] is not None and parent is not None:
                assert parent <= row[born], (table.qualified, name)


@pytest.mark.parametrize("days", [0, *(pytest.param(days, marks=pytest.mark.slow) for days in (1, 400, 2000))])
def test_referenced_rows_exist_at_any_time(days: int, rows: Rows) -> None:
    moment = ORIGIN + days * DAY + HOUR
    for name in ("enrollments", "submissions", "discussion_entry_participants", "group_memberships"):
        table = CATALOGUE.table("canvas", name)
        for column, place in places(table).items():
            known = [each for each in table.columns[place - 2].references if CATALOGUE.find(each)]
            if known:
                parents = created(known[0], rows, moment)
                used = {row[place] for row in rows(table, None, moment)} - {None}
                assert used <= set(parents), (name, column)


def test_class_and_key_of_a_pair_agree(rows: Rows, now: int) -> None:
    for table in REFERRING:
        check_pairs(table, rows, now)


def check_pairs(table: Table, rows: Rows, now: int) -> None:
    for name, place in places(table).items():
        kind = places(table).get(f"{name.removesuffix('_id')}_type")
        if not name.endswith("_id") or kind is None:
            continue
        known = [each for each in CLASSES if CLASSES[each] in table.columns[place - 2].references]
        for each in known:
            keys = {row[place] for row in rows(table, None, now) if row[kind] == each} - {None}
            assert keys <= set(created(CLASSES[each], rows, now)), (table.qualified, name, each)


def test_pairs_of_many_classes_occur(rows: Rows, now: int) -> None:
    table = CATALOGUE.table("canvas", "attachments")
    kinds = {row[places(table)["context_type"]] for row in rows(table, None, now)}
    assert {"Course", "User", "Submission", "Quizzes::Quiz"} <= kinds


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("enrollments", ("course_id", "user_id")),
        ("submissions", ("assignment_id", "user_id")),
        ("quiz_submissions", ("quiz_id", "user_id")),
        ("group_memberships", ("group_id", "user_id")),
        ("discussion_topic_participants", ("discussion_topic_id", "user_id")),
        ("context_module_progressions", ("context_module_id", "user_id")),
    ],
)
def test_natural_pairs_are_unique(name: str, pair: tuple[str, str], rows: Rows, now: int) -> None:
    table = CATALOGUE.table("canvas", name)
    first, second = (places(table)[column] for column in pair)
    found = [(row[first], row[second]) for row in rows(table, None, now) if None not in (row[first], row[second])]
    assert len(found) > 50
    assert len(set(found)) == len(found)


def test_submissions_are_from_enrolled_students(rows: Rows, now: int) -> None:
    enrollments, submissions = CATALOGUE.table("canvas", "enrollments"), CATALOGUE.table("canvas", "submissions")
    at = places(enrollments)
    people: dict[int, dict[int, str]] = {}
    for row in rows(enrollments, None, now):
        people.setdefault(row[at["course_id"]], {})[row[at["user_id"]]] = row[at["type"]]
    full = {course: roles for course, roles in people.items() if len(roles) == SEATS}
    at = places(submissions)
    found = [(row[at["course_id"]], row[at["user_id"]]) for row in rows(submissions, None, now)]
    roles = {full[course][user] for course, user in found if course in full}
    assert roles == {"StudentEnrollment", "ObserverEnrollment"}


def test_a_role_agrees_with_its_enrollment(rows: Rows, now: int) -> None:
    roles, enrollments = CATALOGUE.table("canvas", "roles"), CATALOGUE.table("canvas", "enrollments")
    base = {row[2]: row[places(roles)["base_role_type"]] for row in rows(roles, None, now)}
    at = places(enrollments)
    for row in rows(enrollments, None, now):
        assert base[row[at["role_id"]]] == row[at["type"]]


def records(name: str, rows: Rows, now: int) -> list[dict[str, Any]]:
    table = CATALOGUE.table("canvas", name)
    at = places(table)
    return [{column: row[place] for column, place in at.items()} for row in rows(table, None, now)]


def test_each_user_has_an_active_pseudonym_and_an_inactive_one(rows: Rows, now: int) -> None:
    pseudonyms = [row for row in records("pseudonyms", rows, now) if row["deleted_at"] is None]
    states = {(row["is_inst_id"], row["workflow_state"]) for row in pseudonyms}
    assert states == {(False, "active"), (True, "unavailable")}
    for flag in (True, False):
        users = [row["user_id"] for row in pseudonyms if row["is_inst_id"] is flag]
        assert len(users) == len(set(users)) > 50
    unused = [row for row in pseudonyms if row["is_inst_id"]]
    assert {(row["login_count"], row["last_login_at"], row["sis_user_id"]) for row in unused} == {(0, None, None)}


def test_only_active_pseudonyms_are_referred_to_each_by_its_user(rows: Rows, now: int) -> None:
    owner = {row["id"]: row["user_id"] for row in records("pseudonyms", rows, now) if not row["is_inst_id"]}
    for name, column in (("communication_channels", "pseudonym_id"), ("enrollments", "sis_pseudonym_id")):
        found = [(owner[row[column]], row["user_id"]) for row in records(name, rows, now)]
        assert found
        assert all(one == other for one, other in found)


def test_custom_grade_statuses_of_graded_submissions(rows: Rows, now: int) -> None:
    statuses = records("custom_grade_statuses", rows, now)
    assert 2 <= len(statuses) <= 3
    submissions = records("submissions", rows, now)
    used = [row for row in submissions if row["custom_grade_status_id"] is not None]
    assert {row["custom_grade_status_id"] for row in used} <= {row["id"] for row in statuses}
    assert 0 < len(used) < len(submissions) / 20
    assert all(row["graded_at"] for row in used)


@pytest.mark.parametrize(
    ("name", "extra"), [("accessibility_issues", ()), ("accessibility_resource_scans", ("discussion_topic_id",))]
)
def test_accessibility_rows_are_about_exactly_one_content_of_their_course(
    name: str, extra: tuple[str, ...], rows: Rows, now: int
) -> None:
    columns = ("wiki_page_id", "assignment_id", "attachment_id", *extra)
    found = records(name, rows, now)
    about = [(column, row[column]) for row in found for column in columns if row[column] is not None]
    assert len(about) == len(found) > 50
    assert {column for column, _ in about} == set(columns)
    if name == "accessibility_resource_scans":
        assert len(set(about)) == len(about)
        assert all((row["workflow_state"] == "failed") == (row["error_message"] is not None) for row in found)


def relations(**each: Population) -> Relations:
    return Relations(CATALOGUE, lambda name: each.get(name.partition(".")[2], population(name)), scale=1, seed=1)


def test_descendants_multiply_along_the_chain_of_parents() -> None:
    chain = relations().ancestors("canvas.submissions")
    assert [(each.table, each.descendants) for each in chain] == [
        ("canvas.submissions", 1),
        ("canvas.assignments", STUDENTS),
        ("canvas.courses", 8 * STUDENTS),
    ]
    fraction = relations(wikis=Population(parent="canvas.courses", per_parent=Fraction(3, 2)))
    parent = fraction.ancestors("canvas.wikis")[1]
    assert (parent.row, parent.descendants) == ("(i * 2 // 3)", 0)


def test_seeds_and_tables_have_hashes_of_their_own() -> None:
    other = Relations(CATALOGUE, population, scale=1, seed=2)
    ours = relations()
    salts = {ours.salt(table.qualified) for table in CATALOGUE}
    assert len(salts) == len(list(CATALOGUE))
    assert salts.isdisjoint(other.salt(table.qualified) for table in CATALOGUE)


def test_tables_that_cannot_mark_deleted_rows_remove_them() -> None:
    ours = relations()
    soft = {table.name for table in CATALOGUE if ours.soft_deletes(table)}
    assert {"users", "conversations", "attachments", "order_items"} <= soft
    assert soft.isdisjoint({"favorites", "submission_versions", "score_statistics"})
