"""The seam to the driver: what is said when it is missing, broken, or refused; and that what we know of it is true."""

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import mssql_python
import pytest
from tests.support.mssql_driver import Driver, refusal

from dapkit.errors import IntegrityError, MissingDriverError, TargetError, TargetUnreachableError
from dapkit.targets.mssql.connection import MsSqlConnection
from dapkit.targets.registry import target_of

URL = "mssql://me:s3cr%7Bet@127.0.0.1:1/college"


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def connect(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(mssql_python, "connect", connect)


def test_the_address_holds_no_secret_and_nothing_is_imported_to_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mssql_python", None)
    target = target_of(URL)
    assert target.name == "mssql://127.0.0.1:1/college"
    assert "s3cr" not in repr(target)
    assert "experimental" in (target.warning or "")


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mssql_python", None)
    with pytest.raises(MissingDriverError) as caught:
        target_of(URL).open()
    assert "dapkit[mssql]" in caught.value.hint


def test_a_driver_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "mssql_python":
            raise ImportError("libssl.so.3: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr("builtins.__import__", broken)
    with pytest.raises(MissingDriverError, match="libssl") as caught:
        target_of(URL).open()
    assert "libltdl7" in caught.value.hint


def test_a_library_of_the_system_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, RuntimeError("Failed to load the driver. Please read the documentation"))
    with pytest.raises(MissingDriverError) as caught:
        target_of(URL).open()
    assert "libltdl7" in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        refusal("28000", "Login failed for user 'me', whose password is s3cr{et."),
        refusal("08001", "TCP Provider: s3cr{et"),
        RuntimeError("s3cr{et"),
        mssql_python.ConnectionStringParseError(["Unknown keyword s3cr{et"]),
    ],
)
def test_a_connection_that_does_not_come_about_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    refuse(monkeypatch, error)
    with pytest.raises(TargetUnreachableError, match=r"mssql://127\.0\.0\.1:1/college cannot be reached") as caught:
        target_of(URL).open()
    assert "s3cr" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_real_driver_where_nobody_listens() -> None:
    with pytest.raises((TargetUnreachableError, MissingDriverError)) as caught:
        target_of(f"{URL}?ConnectRetryCount=0").open()
    assert "s3cr" not in caught.value.message


def test_a_session_that_cannot_be_set_up_gives_its_connection_up(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(answers={"SET LANGUAGE": refusal("42000", "No.")})
    monkeypatch.setattr(mssql_python, "connect", lambda *_, **__: driver)
    with pytest.raises(TargetError):
        target_of(URL).open()
    assert driver.closed


def test_how_the_driver_is_asked_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def connect(*args: Any, **kwargs: Any) -> Driver:
        asked.update(inspect.signature(real).bind(*args, **kwargs).arguments)
        return Driver(answers={"DATABASEPROPERTYEX": [(51, 65001, 65001)]})

    real = mssql_python.connect
    monkeypatch.setattr(mssql_python, "connect", connect)
    target_of(URL).open()
    assert asked["autocommit"] is True
    assert "PWD={s3cr{et}" in asked["connection_str"]


def test_the_bulk_copy_of_the_real_driver_works_over_a_connection_of_its_own() -> None:
    source = inspect.getsource(mssql_python.Cursor.bulkcopy)
    assert "PyCoreConnection(" in source, "if that has changed, rows could be part of the transaction"


class Failing:
    """Results of which a later one is an error, as those of batches are."""

    description: None = None
    rowcount = 3

    def __init__(self) -> None:
        self.results: Iterator[bool | Exception] = iter([True, refusal("42000", "Later.")])

    def cursor(self) -> "Failing":
        return self

    def execute(self, operation: str, *parameters: Any) -> None:
        """Do nothing."""

    def fetchall(self) -> list[Any]:
        return []

    def nextset(self) -> bool:
        result = next(self.results, False)
        if isinstance(result, Exception):
            raise result
        return result

    def bulkcopy(self, table_name: str, data: Any, **options: Any) -> None:
        list(data)
        raise RuntimeError("Bulk Copy Error: no such table")

    def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("call", ["query", "execute"])
def test_errors_of_later_statements_of_a_batch_are_heard(call: str) -> None:
    with pytest.raises(TargetError, match="Later"):
        getattr(MsSqlConnection(Failing()), call)("EXEC something")


def test_what_rows_raise_is_raised_as_it_is_and_what_the_driver_raises_is_translated() -> None:
    def harmed() -> Iterator[tuple[int]]:
        yield (1,)
        raise IntegrityError("harmed")

    with pytest.raises(IntegrityError, match="harmed"):
        MsSqlConnection(Failing()).copy("t", harmed())
    with pytest.raises(TargetError, match="no such table"):
        MsSqlConnection(Failing()).copy("t", [(1,)])
