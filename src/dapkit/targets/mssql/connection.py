"""The driver, mssql-python, and as much of it as is used here.

Its bulk copy works over a connection of its own, which commits by itself: it sees no temporary table and no
transaction of the connection on which it is called.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from dapkit.errors import MissingDriverError
from dapkit.targets.mssql.errors import UNLOADABLE, translated, unconnected, words_of
from dapkit.targets.mssql.url import MsSqlAddress

__all__ = ["MsSqlConnection", "NativeConnection", "NativeCursor", "connect"]

_LOGIN_TIMEOUT = 20
_BATCH = 50_000
_INSTALL = 'Install it with: pip install "dapkit[mssql]"'
_SYSTEM = (
    "Microsoft's driver needs some libraries of the system: on Debian and Ubuntu `apt-get install libltdl7"
    " libkrb5-3 libgssapi-krb5-2`, on Red Hat `dnf install libtool-ltdl krb5-libs`, on macOS `brew install openssl`."
)


class NativeCursor(Protocol):
    """The part of the driver's cursor that is used."""

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns of the result, None where there is none."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed, -1 if unknown."""

    def execute(self, operation: str, *parameters: Any) -> Any:
        """Execute a batch."""

    def fetchall(self) -> list[Any]:
        """Return the rows of the result."""

    def nextset(self) -> bool | None:
        """Go to the next result; its error, if it is one, is raised."""

    def bulkcopy(
        self,
        table_name: str,
        data: Iterable[tuple[Any, ...]],
        *,
        batch_size: int,
        timeout: int,
        table_lock: bool,
        keep_nulls: bool,
    ) -> Any:
        """Copy rows into a table."""

    def close(self) -> None:
        """Close the cursor."""


class NativeConnection(Protocol):
    """The part of the driver's connection that is used."""

    def cursor(self) -> NativeCursor:
        """Return a cursor."""

    def close(self) -> None:
        """Close the connection."""


def connect(address: MsSqlAddress) -> "MsSqlConnection":
    """Return a connection that commits by itself.

    Raises:
        MissingDriverError: the driver, or a system library that it needs, is missing.
        TargetUnreachableError: the server cannot be reached; TargetRejectedError if it rejected the login.
    """
    try:
        import mssql_python  # noqa: PLC0415, only where it is used
    except ModuleNotFoundError as error:
        raise MissingDriverError(f"The driver for mssql: is not installed ({error.name})", hint=_INSTALL) from error
    except (ImportError, OSError) as error:
        message = f"The driver for mssql: is installed, but cannot be loaded: {error}"
        raise MissingDriverError(message, hint=_SYSTEM) from error
    try:
        return MsSqlConnection(mssql_python.connect(address.connection_string, autocommit=True, timeout=_LOGIN_TIMEOUT))
    except Exception as error:  # noqa: BLE001, the driver's errors have no common class below this
        if UNLOADABLE in words_of(error):
            message = "The driver for mssql: is installed, but a library of the system that it needs is not"
            raise MissingDriverError(message, hint=_SYSTEM) from None
        raise unconnected(error, address.name, address.password) from None


class MsSqlConnection:
    """A connection whose statements are each a batch; errors are ours."""

    def __init__(self, connection: NativeConnection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a batch and return the rows of its first result."""
        with _translated():
            self._cursor.execute(sql, *([tuple(values)] if values else []))
            while self._cursor.description is None and self._cursor.nextset():
                pass
            rows = [tuple(row) for row in self._cursor.fetchall()] if self._cursor.description is not None else []
            self._drain()
            return rows

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a batch and return how many rows its first statement changed."""
        with _translated():
            self._cursor.execute(sql, *([tuple(values)] if values else []))
            count = self._cursor.rowcount
            self._drain()
            return max(0, count)

    def _drain(self) -> None:
        """Read the results of later statements of the batch, since their errors come with these."""
        while self._cursor.nextset():
            pass

    def copy(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Copy rows into a table, column by column, and commit them.

        Raises:
            DapError: what the rows raise, as they raised it.
            TargetError: from the driver.
        """
        source = _Source(rows)
        try:
            self._cursor.bulkcopy(table, iter(source), batch_size=_BATCH, timeout=0, table_lock=True, keep_nulls=True)
        except Exception as error:
            if source.failure is not None:
                raise source.failure from None
            raise translated(error) from error

    def close(self) -> None:
        """Close the connection; what was not committed is undone."""
        self._connection.close()


class _Source:
    """Rows that remember why they ended: the driver wraps their errors into errors of its own."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._rows = rows
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._rows
        except Exception as error:
            self.failure = error
            raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise translated(error) from error
