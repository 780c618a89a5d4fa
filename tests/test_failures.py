"""Tables that failed, grouped by reason, and the error that follows from them."""

import pytest

from dapkit.errors import (
    DapError,
    JobFailedError,
    OutOfRangeError,
    PartialFailureError,
    ServerError,
    TableNotFoundError,
)
from dapkit.failures import TableFailed, error_of, failure_groups, says_it_all


def failures(**errors: DapError) -> list[TableFailed]:
    return [TableFailed(table=table, error=error) for table, error in errors.items()]


def test_a_run_without_failures_has_no_error() -> None:
    assert error_of(3, []) is None
    assert error_of(0, []) is None


@pytest.mark.parametrize(
    ("done", "failed", "code"),
    [
        (1, failures(a=ServerError("x")), 3),
        (0, failures(a=ServerError("x")), 23),
        (0, failures(a=ServerError("x"), b=ServerError("y")), 23),
        (0, failures(a=ServerError("x"), b=JobFailedError("y")), 3),
        (0, failures(a=TableNotFoundError("x"), b=TableNotFoundError("y")), 30),
    ],
)
def test_failures_with_one_code_share_it_and_others_are_a_partial_failure(
    done: int, failed: list[TableFailed], code: int
) -> None:
    error = error_of(done, failed)
    assert error is not None
    assert error.exit_code == code


def test_a_partial_failure_names_and_counts_its_tables_and_suggests_a_retry_only_if_it_may_help() -> None:
    again = error_of(1, failures(a=ServerError("x"), b=OutOfRangeError("y")))
    useless = error_of(1, failures(b=OutOfRangeError("y")))
    assert isinstance(again, PartialFailureError)
    assert isinstance(useless, PartialFailureError)
    assert again.message == "2 of 3 tables failed: a, b"
    assert again.counted == "2 of 3 tables failed"
    assert again.hint == PartialFailureError.default_hint
    assert "will not help" in useless.hint
    assert (again.as_dict()["retryable"], useless.as_dict()["retryable"]) == (True, False)


def test_the_error_of_the_only_failure_names_its_table() -> None:
    error = error_of(0, failures(a=ServerError("It is 503")))
    assert error is not None
    assert error.table == "a"


def test_the_error_of_tables_that_all_failed_for_one_reason_gives_the_reason() -> None:
    failed = failures(
        a=ServerError("Table a: 503", hint="Wait.", table="a", uuid="u"),
        b=ServerError("Table b: 503", hint="Wait.", table="b"),
    )
    error = error_of(0, failed)
    assert isinstance(error, ServerError)
    assert error.message == str(error) == "All 2 tables failed: Table …: 503"
    assert (error.hint, error.table, error.uuid) == ("Wait.", None, None)
    assert failed[0].error.message == "Table a: 503", "the error of the table is unchanged"
    assert says_it_all(0, failed)
    assert not says_it_all(1, failed)


def test_the_error_of_tables_that_failed_for_several_reasons_gives_none() -> None:
    failed = failures(a=ServerError("It is 503", hint="Wait."), b=ServerError("It is 502", hint="Wait longer."))
    error = error_of(0, failed)
    assert error is not None
    assert (error.exit_code, error.message, error.hint) == (23, "All 2 tables failed", "See the hint for each table.")
    assert not says_it_all(0, failed)
    same_hint = error_of(0, failures(a=ServerError("It is 503", hint="Wait."), b=ServerError("502", hint="Wait.")))
    assert same_hint is not None
    assert same_hint.hint == "Wait."


@pytest.mark.parametrize(
    ("one", "other", "groups"),
    [
        ("The service has no table 'a'", "The service has no table 'b'", 1),
        ("a exists but is not a table", "b exists but is not a table", 2),
        ("Table a_b: no", "Table b: no", 2),
        ("It is 503", "It is 502", 2),
    ],
)
def test_texts_are_equal_without_the_name_of_the_table(one: str, other: str, groups: int) -> None:
    assert len(failure_groups(failures(a=ServerError(one), b=ServerError(other)))) == groups
