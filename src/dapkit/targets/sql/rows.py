"""The rows of one load on their way into the database: straight into a table, or through a staging table."""

from collections.abc import Iterator
from contextlib import contextmanager

from dapkit.errors import IntegrityError, MalformedFileError
from dapkit.results import LoadStats
from dapkit.targets.base import Load, Staging
from dapkit.targets.sql.driver import Driver, StagedRows
from dapkit.targets.sql.merge import keep_newest, repeated_key
from dapkit.targets.sql.value_repairs import ValueRepairs


class IncomingRows:
    """The rows of one load.

    Args:
        driver: of the database.
        load: whose files have them.
        action: whether the files say for each row if it was updated or deleted.
    """

    def __init__(self, driver: Driver, load: Load, *, action: bool) -> None:
        self.load = load
        self.action = action
        self._driver = driver
        self._repairs = ValueRepairs(load, driver.dialect.facts.product)
        self._early: StagedRows | None = None
        self._is_unique = False

    @contextmanager
    def staged_before_transaction(self, *, unless: bool = False) -> Iterator[None]:
        """Stage the rows now, before a transaction begins, if that is how the database works.

        SQL Server's bulk copy uses a separate connection: it could not write into a table that the transaction has
        just created, and would wait forever. MySQL's ALTER TABLE commits the transaction in which it runs, so rows
        have to be in the database before it, and row locks must not be held while files are read.
        """
        if unless or self._driver.capabilities.staging is not Staging.BEFORE:
            yield
            return
        with self._driver.stage(self.load, self._repairs, action=self.action) as staged:
            self._check(staged)
            self._early = staged
            if not self._driver.capabilities.transactional_ddl:
                # Some servers do not allow CREATE TABLE in a transaction, not even of a temporary table. The table is
                # dropped by the next load that has repeated keys, or with the session: an error after the COMMIT would
                # make the load look failed.
                self._early, self._is_unique = self._keep_newest(staged), True
            yield

    @contextmanager
    def staged(self) -> Iterator[StagedRows]:
        """Yield the rows in a staging table, one for each key; the table is dropped afterwards."""
        if self._early is not None:
            with self._unique(self._early) as rows:
                yield rows
            return
        with self._driver.stage(self.load, self._repairs, action=self.action) as staged:
            self._check(staged)
            with self._unique(staged) as rows:
                yield rows

    @contextmanager
    def _unique(self, staged: StagedRows) -> Iterator[StagedRows]:
        rows = staged if self._is_unique else self._keep_newest(staged)
        yield rows
        if rows.name != staged.name:
            self._driver.execute(f"{self._driver.dialect.facts.drop_temporary} {rows.name}")

    def _keep_newest(self, staged: StagedRows) -> StagedRows:
        """Return a staging table that has only the last state of each key, which the service may deliver repeatedly."""
        dialect, table = self._driver.dialect, self.load.table
        if not self._driver.query(repeated_key(dialect, table, staged.name)):
            return staged
        self._driver.execute(f"{dialect.facts.drop_temporary} {dialect.facts.newest}")
        self._driver.execute(keep_newest(dialect, table, staged.name, action=self.action))
        return StagedRows(dialect.facts.newest, staged.rows)

    def load_into(self, name: str) -> int:
        """Copy the rows straight into a new table; return how many. Raises RepeatedKeysError."""
        rows = self._driver.load_rows(self.load, name, self._repairs)
        self._require_rows(rows)
        return rows

    def _check(self, staged: StagedRows) -> None:
        self._require_rows(staged.rows)
        action = self._driver.dialect.facts.action_column
        unknown = f"SELECT 1 FROM {staged.name} WHERE {action} IS NULL OR {action} NOT IN ('U', 'D')"
        if self.action and self._driver.query(self._driver.dialect.facts.limited(unknown, 1)):
            message = "A downloaded file has a row that is neither updated nor deleted"
            raise MalformedFileError(message, table=self.load.table.name)

    def _require_rows(self, rows: int) -> None:
        """Check that no row is missing: the rows were counted when the files were downloaded."""
        if rows != self.load.files.rows:
            message = f"The files hold {self.load.files.rows:,} rows, but {rows:,} arrived in the database"
            raise IntegrityError(message, table=self.load.table.name)

    def finish(self, *, written: int, deleted: int = 0) -> LoadStats:
        """Save the originals of repaired values, and return the statistics of the load."""
        self._repairs.save()
        return LoadStats(written=written, deleted=deleted, repaired=dict(self._repairs.counts))
