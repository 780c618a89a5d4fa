"""Which tables a person means."""

import pytest

from dapkit.errors import TableNotFoundError, UsageError
from dapkit.export.selection import nearest, select, split_tables, vanished

KNOWN = ("users", "courses", "quizzes", "quiz_questions")


def test_lists_are_split_spaces_forgiven_and_duplicates_dropped() -> None:
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
    with pytest.raises(TableNotFoundError, match="x\\*"):
        select(["x*"], [], KNOWN)


def test_a_pattern_may_mean_only_what_is_held() -> None:
    assert select(["x*", "users"], [], KNOWN, ("xs",)) == ("users",)
    assert select(["x*"], [], KNOWN, ("xs",)) == ()
    with pytest.raises(TableNotFoundError, match="y\\*"):
        select(["y*"], [], KNOWN, ("xs",))


def test_excluding_everything_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        select(["users"], ["u*"], None)


def test_the_nearest_names_are_offered() -> None:
    assert "users" in nearest("user", KNOWN)
    assert "dap list" in nearest("zzzz", KNOWN)


HELD = ("users", "quiz_answers", "wikis")


@pytest.mark.parametrize(
    ("wanted", "exclude", "known", "gone"),
    [
        (["all"], [], KNOWN, ("quiz_answers", "wikis")),
        (["quiz*"], [], KNOWN, ("quiz_answers",)),
        (["all"], ["wik*"], KNOWN, ("quiz_answers",)),
        (["all", "wikis"], [], KNOWN, ("quiz_answers",)),
        (["wikis"], [], None, ()),
        (["all"], [], (*KNOWN, *HELD), ()),
    ],
)
def test_what_is_held_and_no_longer_listed(
    wanted: list[str], exclude: list[str], known: tuple[str, ...] | None, gone: tuple[str, ...]
) -> None:
    assert vanished(wanted, exclude, known, HELD) == gone
