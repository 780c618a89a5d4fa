"""What each SQL database implements: nine small methods, none of which calls back into the loader."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from dapkit.errors import TargetError
from dapkit.model import Table
from dapkit.targets.base import Capabilities, Load
from dapkit.targets.sql.dialect import Dialect
from dapkit.targets.sql.introspection import Catalog
from dapkit.targets.sql.value_repairs import ValueRepairs

DISK_FULL_HINT = "Free some space where the file is, and where temporary files are written, and run the command again."
"""The hint of a full disk under a database in a file."""


class RepeatedKeysError(TargetError):
    """A key occurs more than once; of the rows that share it only the newest may be loaded."""


@dataclass(frozen=True, slots=True)
class StagedRows:
    """Rows in a staging table, its name as SQL writes it, and how many there are."""

    name: str
    rows: int


def nothing_around(self: object, *_: object, **__: object) -> AbstractContextManager[None]:  # noqa: ARG001
    """Do nothing, in place of `exclusive` or `altering`; assigned to the name in the class of a driver."""
    return nullcontext()


def nothing_to_check(_driver: object) -> None:
    """Do nothing, in place of `check_database`; assigned to the name in the class of a driver."""


def nothing_to_lock(_driver: object, _name: str) -> None:
    """Do nothing, in place of `lock_table`; assigned to the name in the class of a driver."""


class Driver(Protocol):
    """One connection to a database. Every method raises TargetError when the database rejects something."""

    @property
    def capabilities(self) -> Capabilities:
        """How the database differs from others."""

    @property
    def dialect(self) -> Dialect:
        """Its SQL."""

    @property
    def catalog(self) -> Catalog:
        """What exists in it."""

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Execute a statement and return how many rows it changed."""

    def iterate(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Execute a statement and yield its rows, of which there may be many."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything within, or nothing if it raises."""

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Hold a named lock against other dapkit processes; does nothing where transactions suffice."""

    def lock_table(self, name: str) -> None:
        """Keep others from a table until the transaction ends, where DDL that waits for it would block its readers."""

    def check_database(self) -> None:
        """Raise TargetError if no table can be loaded into this database; called before loads."""

    def altering(self, table: Table, statements: Sequence[str]) -> AbstractContextManager[None]:
        """Move what the user created out of the way of these statements, within a transaction, and restore it."""

    def stage(self, load: Load, repairs: ValueRepairs, *, action: bool) -> AbstractContextManager[StagedRows]:
        """Copy the rows of a load into a staging table with the table's columns, their time and their action.

        Args:
            load: whose files are read.
            repairs: where values are noted that had to be repaired.
            action: whether the files have to say for each row if it was updated or deleted.

        Raises:
            BadValueError: a value cannot be stored, and may not or cannot be repaired.
            IntegrityError: a file is damaged.
        """

    def load_rows(self, load: Load, into: str, repairs: ValueRepairs) -> int:
        """Copy the rows of a snapshot straight into a new table, within a transaction; return how many there were.

        Raises:
            RepeatedKeysError: a key was found more than once; some databases notice only when the key is added.
            BadValueError, IntegrityError: as `stage`.
        """

    def close(self) -> None:
        """Close the connection; uncommitted changes are rolled back."""
