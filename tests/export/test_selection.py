"""Which tables are selected."""

import pytest

from dapkit.errors import UsageError
from dapkit.export.selection import nearest, no_longer_listed, select, split_tables

KNOWN = ("users", "courses", "quizzes", "quiz_questions")


def test_lists_are_split_without_spaces_and_duplicates() -> None:
    assert split_tables([" users , courses,users,", "wikis"]) == ("users", "courses", "wikis")


@pytest.mark.parametrize("values", [[], [""], [" , ,"]])
def test_no_table_is_a_usage_error(values: list[str]) -> None:
    with pytest.raises(UsageError):
        split_tables(values)


def test_names_need_no_list_and_keep_their_order() -> None:
    assert select(["wikis", "users"], [], None) == ("wikis", "users")


def test_all_and_globs_are_resolved_each_table_once() -> None:
    assert select(["all"], [], KNOWN) == KNOWN
    assert select(["quiz*", "users", "quizzes"], [], KNOWN) == ("quizzes", "quiz_questions", "users")
    assert select(["all"], ["quiz*", "none"], KNOWN) == ("users", "courses")


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match="x\\*"):
        select(["x*"], [], KNOWN)


def test_a_pattern_that_matches_nothing_suggests_similar_names() -> None:
    with pytest.raises(UsageError) as caught:
        select(["qizzes*"], [], KNOWN)
    assert caught.value.hint == "Did you mean quizzes?"


def test_a_pattern_may_match_only_tables_of_the_database() -> None:
    assert select(["x*", "users"], [], KNOWN, ("xs",)) == ("users",)
    assert select(["x*"], [], KNOWN, ("xs",)) == ()
    with pytest.raises(UsageError, match="y\\*"):
        select(["y*"], [], KNOWN, ("xs",))


def test_excluding_everything_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        select(["users"], ["u*"], None)


def test_similar_names_are_suggested() -> None:
    assert "users" in nearest("user", KNOWN, "canvas")
    assert "dap list --namespace catalog" in nearest("zzzz", KNOWN, "catalog")


MANAGED = ("users", "quiz_answers", "wikis")


@pytest.mark.parametrize(
    ("wanted", "exclude", "known", "expected"),
    [
        (["all"], [], KNOWN, ("quiz_answers", "wikis")),
        (["quiz*"], [], KNOWN, ("quiz_answers",)),
        (["all"], ["wik*"], KNOWN, ("quiz_answers",)),
        (["all", "wikis"], [], KNOWN, ("quiz_answers",)),
        (["wikis"], [], None, ()),
        (["all"], [], (*KNOWN, *MANAGED), ()),
    ],
)
def test_tables_that_the_service_no_longer_lists(
    wanted: list[str], exclude: list[str], known: tuple[str, ...] | None, expected: tuple[str, ...]
) -> None:
    assert no_longer_listed(wanted, exclude, known, MANAGED) == expected
