"""Errors of the target: the database that tables are loaded into."""

from dapkit.errors.root import DapError


class TargetError(DapError):
    """The database failed or rejected a statement."""

    code = "target"
    exit_code = 50


class TargetUnreachableError(TargetError):
    """The database cannot be reached: connection refused or lost, or the server is starting or stopping."""

    code = "target-unreachable"
    exit_code = 51
    retryable = True
    default_hint = "Check the address in the connection string, that the server is running, and the network."


class TargetRejectedError(TargetUnreachableError):
    """The database rejected the connection: wrong password, database name, certificate or file type."""

    code = "target-rejected"
    retryable = False
    default_hint = "Check the user, the password and the database in the connection string."


class TargetBusyError(TargetError):
    """The database is busy: too many connections, a lock held for too long, or a deadlock."""

    code = "target-busy"
    exit_code = 61
    retryable = True
    default_hint = "Run the same command again when no other program is using these tables."


class TargetDiskFullError(TargetError):
    """The database server has no space left."""

    code = "target-disk-full"
    exit_code = 62
    retryable = True
    default_hint = "Free some space on the database server and run the same command again."


class TargetPermissionError(TargetError):
    """The database user lacks a permission; the message says for what."""

    code = "target-permission"
    default_hint = (
        "Grant the permission to the user in the connection string;"
        " the documentation of the database lists what is needed."
    )


class MissingDriverError(TargetError):
    """The driver for this type of database is not installed."""

    code = "driver-missing"
    exit_code = 52


class IncompatibleLayoutError(TargetError):
    """The database holds sync state of an unsupported version, or a table that dapkit must not change."""

    code = "incompatible-layout"
    exit_code = 53


class SandboxMismatchError(TargetError):
    """Loading would mix synthetic sandbox data with the service's data."""

    code = "sandbox-mismatch"
    exit_code = 54
    default_hint = "Use separate databases for the sandbox and the service."


class ConcurrentUpdateError(TargetError):
    """Another process changed the table while this one was loading it."""

    code = "concurrent-update"
    exit_code = 55
    retryable = True
    default_hint = "Run the same command again: it continues from the table's current state."


class SchemaChangeNotSupportedError(TargetError):
    """The table cannot be altered to match the new version of its schema."""

    code = "schema-change-not-supported"
    exit_code = 56
    default_hint = "`dap sync` loads a new snapshot of such a table."


class BadValueError(TargetError):
    """The database cannot store a value, and the value may not or cannot be repaired."""

    code = "bad-value"
    exit_code = 57


class NotReplicatedError(TargetError):
    """The table is not managed by dapkit in this database."""

    code = "not-replicated"
    exit_code = 58
    default_hint = "Load the table first with `dap initdb` or `dap sync`."


class AlreadyReplicatedError(TargetError):
    """The table is already loaded into this database."""

    code = "already-replicated"
    exit_code = 59
    default_hint = "Use `dap syncdb` or `dap sync` to update it."


class ReconciliationError(TargetError):
    """`dap reconcile` found differences between the database and the service."""

    code = "reconciliation"
    exit_code = 60
