"""The diagram of tables and their neighbours."""

import re

from tests.describe.examples import ID, comments, described, enrollments, users

from dapkit.describe.diagram import mermaid

EDGE = re.compile(r'^    "([ -~]+)" [|}]o(--|\.\.)(o\||\|\|) "([ -~]+)" : "([ -~]+)"$')


def test_keys_and_references_are_shown() -> None:
    assert mermaid([enrollments()]).splitlines() == [
        "erDiagram",
        '    "canvas.enrollments" {',
        "        int64 id PK",
        "        int64 user_id FK",
        "        int64 batch_id FK",
        "    }",
        '    "canvas.enrollments" }o--|| "canvas.users" : "user_id"',
        '    "canvas.states" |o--|| "canvas.enrollments" : "enrollment_id"',
        '    "canvas.comments" }o..o| "canvas.enrollments" : "context_id"',
    ]


def test_a_reference_that_may_be_null_has_a_circle() -> None:
    assert '"canvas.users" }o--o| "canvas.users" : "merged_into_user_id"' in mermaid([users()])


def test_a_reference_to_one_of_several_tables_is_dotted() -> None:
    edges = [line for line in mermaid([comments()]).splitlines() if EDGE.match(line)]
    assert edges == [
        '    "canvas.comments" }o..o| "canvas.users" : "context_id"',
        '    "canvas.comments" }o..o| "canvas.enrollments" : "context_id"',
    ]


def test_a_relation_between_two_of_the_tables_is_shown_once() -> None:
    lines = mermaid([enrollments(), users()]).splitlines()
    assert len([line for line in lines if line.endswith(': "user_id"')]) == 1


def test_a_column_may_be_both_key_and_reference() -> None:
    table = described("states", {}, key={"enrollment_id": ID})
    assert "        int64 enrollment_id PK, FK" in mermaid([table]).splitlines()


def test_names_cannot_break_the_syntax() -> None:
    table = described('we"ird%\n', {}, key={"a b:c": {"type": "array", "items": ID}})
    assert mermaid([table]).splitlines() == [
        "erDiagram",
        '    "canvas.we_ird__" {',
        "        array_of_int64 a_b_c PK",
        "    }",
    ]
