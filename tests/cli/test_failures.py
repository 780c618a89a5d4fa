"""Reports of tables that failed."""

from dapkit.cli.failures import failure_lines
from dapkit.errors import DapError, JobFailedError, ServerError
from dapkit.failures import TableFailed


def failures(**errors: DapError) -> list[TableFailed]:
    return [TableFailed(table=table, error=error) for table, error in errors.items()]


def test_a_failure_has_its_code_uuid_and_hint() -> None:
    error = JobFailedError("The job for table users failed", uuid="u-7", hint="Wait.")
    assert failure_lines(failures(users=error)) == [
        "Failed: users: The job for table users failed [job-failed]",
        "  uuid for support: u-7",
        "  Hint: Wait.",
    ]


def test_tables_that_failed_for_the_same_reason_share_a_line() -> None:
    failed = failures(
        b=ServerError("Table b: 503", uuid="u-2", hint="See `table b`."),
        a=ServerError("Table a: 503", uuid="u-1", hint="See `table a`."),
        c=JobFailedError("no"),
    )
    assert [line for line in failure_lines(failed) if not line.startswith("  Hint")] == [
        "Failed: 2 tables (a, b): Table …: 503 [server]",
        "  uuid for support: u-1, u-2",
        "Failed: c: no [job-failed]",
    ]


def test_of_many_tables_some_are_named() -> None:
    failed = [TableFailed(table=f"t{number:02}", error=ServerError("no")) for number in range(93)]
    (line, _hint) = failure_lines(failed)
    assert line == "Failed: 93 tables (t00, t01, t02, t03, t04, t05, t06, t07 and 85 more): no [server]"
