"""Errors of one table stay with the table; errors that affect every table are raised."""

import asyncio
from pathlib import Path

import pytest

from dapkit.errors import (
    AccountDisabledError,
    DapError,
    DiskFullError,
    ForbiddenError,
    JournalError,
    ManifestError,
    OutputError,
    RejectedCredentialsError,
    ServerError,
)
from dapkit.export.isolation import is_fatal, isolate
from dapkit.failures import TableFailed


async def work(outcome: int | Exception) -> int:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run(outcome: int | Exception, output: Path) -> int | TableFailed:
    return asyncio.run(isolate("users", output, work, outcome))


def test_the_result_is_returned(tmp_path: Path) -> None:
    assert run(7, tmp_path) == 7


@pytest.mark.parametrize("error", [ServerError("x"), ForbiddenError("x"), ManifestError("x"), OutputError("x")])
def test_an_error_of_one_table_is_returned_as_its_failure(tmp_path: Path, error: DapError) -> None:
    failure = run(error, tmp_path)
    assert isinstance(failure, TableFailed)
    assert (failure.table, failure.error, failure.error.table) == ("users", error, "users")


@pytest.mark.parametrize(
    "error", [RejectedCredentialsError("x"), AccountDisabledError("x"), DiskFullError("x"), JournalError("x")]
)
def test_an_error_that_affects_every_table_is_raised(tmp_path: Path, error: DapError) -> None:
    with pytest.raises(type(error)):
        run(error, tmp_path)


def test_a_bug_is_an_internal_error_of_the_table(tmp_path: Path) -> None:
    failure = run(KeyError("x"), tmp_path)
    assert isinstance(failure, TableFailed)
    assert (failure.error.code, failure.error.message) == ("internal", "KeyError: 'x'")


def test_a_bug_that_quotes_a_signed_url_does_not_show_it(tmp_path: Path) -> None:
    failure = run(ValueError("GET https://store/x?X-Amz-Signature=hush failed"), tmp_path)
    assert isinstance(failure, TableFailed)
    assert failure.error.message == "ValueError: GET https://store/x?[hidden] failed"


def test_an_output_error_is_fatal_if_the_folder_is_not_writable(tmp_path: Path) -> None:
    assert is_fatal(OutputError("x"), tmp_path / "missing")
    assert not is_fatal(OutputError("x"), tmp_path)
