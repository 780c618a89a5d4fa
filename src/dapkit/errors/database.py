"""What may be wrong with the database that tables are brought into."""

from dapkit.errors.root import DapError


class TargetError(DapError):
    """The database failed, or refused what was asked of it."""

    code = "target"
    exit_code = 50


class UnreachableTargetError(TargetError):
    """The database is not there, or went away: no connection, a lost one, a server that starts or stops."""

    code = "target-unreachable"
    exit_code = 51
    retryable = True
    default_hint = "Check the address in the connection string, that the server runs, and the network between."


class RefusedTargetError(UnreachableTargetError):
    """The database is there but lets nobody in like this: password, name of the database, certificate, kind of file."""

    code = "target-refused"
    retryable = False
    default_hint = "Check the user, the password and the database in the connection string."


class BusyTargetError(TargetError):
    """Others hold what is needed: too many connections, a lock for too long, a deadlock."""

    code = "target-busy"
    exit_code = 61
    retryable = True
    default_hint = "Run the same command again, at a time when others are not at work on these tables."


class FullTargetError(TargetError):
    """The database server has no space left."""

    code = "target-full"
    exit_code = 62
    retryable = True
    default_hint = "Free some space on the database server and run the same command again."


class ForbiddenTargetError(TargetError):
    """The user of the connection string lacks a right; the message names what it is for."""

    code = "target-forbidden"
    default_hint = "Grant it to the user of the connection string; the page of the database lists what is needed."


class MissingDriverError(TargetError):
    """The library that speaks to this kind of database is not installed."""

    code = "driver-missing"
    exit_code = 52


class LayoutError(TargetError):
    """What stands in the database is not what may be changed: other books, or a table that is not on them."""

    code = "layout"
    exit_code = 53


class OriginError(TargetError):
    """A sandbox's data and the service's would get mixed."""

    code = "origin"
    exit_code = 54
    default_hint = "Use another database for the sandbox than for the service."


class MovedOnError(TargetError):
    """Somebody else changed the table since the increment was asked for."""

    code = "moved-on"
    exit_code = 55
    retryable = True
    default_hint = "Run the same command again: it goes on from where the table stands now."


class UnalterableError(TargetError):
    """The table cannot be altered into the new version of its schema."""

    code = "unalterable"
    exit_code = 56
    default_hint = "`dap sync` takes a fresh snapshot of such a table."


class BadValueError(TargetError):
    """A value that the database cannot hold, and that may not or cannot be repaired."""

    code = "bad-value"
    exit_code = 57


class NotReplicatedError(TargetError):
    """The table is not on the books of the database."""

    code = "not-replicated"
    exit_code = 58
    default_hint = "Bring it there first, with `dap initdb` or `dap sync`."


class AlreadyReplicatedError(TargetError):
    """The table is on the books of the database already."""

    code = "already-replicated"
    exit_code = 59
    default_hint = "Use `dap syncdb` or `dap sync` to bring it up to date."


class ReconciliationError(TargetError):
    """`dap reconcile` found that the database does not hold what the service holds."""

    code = "reconciliation"
    exit_code = 60
