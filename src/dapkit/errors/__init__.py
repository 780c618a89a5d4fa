"""All errors that dapkit raises on purpose, as one tree.

Errors are part of the public interface. A class defines a stable `code` for programs, the `exit_code` of the command,
and whether the same call may succeed later (`retryable`). An instance adds a message that says what happened, a `hint`
that says what to do, and the table, job and uuid it concerns. From 0.1.0 on, codes and exit codes are only added.

    DapError
    ├── InternalError                          internal                      1
    ├── UsageError                             usage                         2
    ├── PartialFailureError                    partial-failure               3
    ├── CredentialsError
    │   ├── MissingCredentialsError            credentials-missing          10
    │   └── RejectedCredentialsError           credentials-rejected         11
    ├── AccountError                           account                      12
    │   ├── AccountDisabledError               account-disabled             12
    │   ├── AccountNotOnboardedError           account-not-onboarded        13
    │   ├── AccountMaintenanceError            account-maintenance          14
    │   └── ForbiddenError                     forbidden                    15
    ├── NetworkError                           network                      20
    │   ├── UnreachableError                   unreachable                  20
    │   ├── StalledError                       stalled                      20
    │   ├── TlsError                           tls                          21
    │   └── ProxyError                         proxy                        22
    ├── ServiceError
    │   ├── ServerError                        server                       23
    │   ├── RateLimitedError                   rate-limited                 24
    │   └── UnexpectedResponseError            unexpected-response          25
    ├── NotFoundError                          not-found                    30
    │   ├── TableNotFoundError                 table-not-found              30
    │   └── ExpiredError                       expired                      31
    ├── RequestError                           request-rejected             34
    │   ├── OutOfRangeError                    out-of-range                 32
    │   ├── SnapshotRequiredError              snapshot-required            33
    │   └── NoBaselineError                    no-baseline                  36
    ├── JobFailedError                         job-failed                   35
    ├── IntegrityError                         integrity                    40
    │   ├── UnsafeNameError                    unsafe-name                  41
    │   └── MalformedFileError                 malformed-file               49
    ├── OutputError                            output                       42
    │   ├── DiskFullError                      disk-full                    43
    │   ├── JournalError                       journal                      44
    │   └── ManifestError                      manifest                     45
    ├── VerificationError                      verification                 46
    ├── LockedError                            locked                       47
    ├── DiagnosisError                         diagnosis                    48
    ├── TargetError                            target                       50
    │   ├── TargetUnreachableError             target-unreachable           51
    │   │   └── TargetRejectedError            target-rejected              51
    │   ├── TargetBusyError                    target-busy                  61
    │   ├── TargetDiskFullError                target-disk-full             62
    │   ├── TargetPermissionError              target-permission            50
    │   ├── MissingDriverError                 driver-missing               52
    │   ├── IncompatibleLayoutError            incompatible-layout          53
    │   ├── SandboxMismatchError               sandbox-mismatch             54
    │   ├── ConcurrentUpdateError              concurrent-update            55
    │   ├── SchemaChangeNotSupportedError      schema-change-not-supported  56
    │   ├── BadValueError                      bad-value                    57
    │   ├── NotReplicatedError                 not-replicated               58
    │   ├── AlreadyReplicatedError             already-replicated           59
    │   └── ReconciliationError                reconciliation               60
    └── InterruptedRunError                    interrupted                 130
"""

from dapkit.errors.target import (
    AlreadyReplicatedError as AlreadyReplicatedError,
    BadValueError as BadValueError,
    TargetBusyError as TargetBusyError,
    TargetPermissionError as TargetPermissionError,
    TargetDiskFullError as TargetDiskFullError,
    IncompatibleLayoutError as IncompatibleLayoutError,
    MissingDriverError as MissingDriverError,
    ConcurrentUpdateError as ConcurrentUpdateError,
    NotReplicatedError as NotReplicatedError,
    SandboxMismatchError as SandboxMismatchError,
    ReconciliationError as ReconciliationError,
    TargetRejectedError as TargetRejectedError,
    TargetError as TargetError,
    SchemaChangeNotSupportedError as SchemaChangeNotSupportedError,
    TargetUnreachableError as TargetUnreachableError,
)
from dapkit.errors.root import DapError as DapError


class InternalError(DapError):
    """An internal error: a bug in dapkit."""

    code = "internal"
    exit_code = 1
    default_hint = "This is a bug in dapkit. Run the command again with --loglevel debug and report the output."


class UsageError(DapError):
    """An argument, option or configuration value is invalid."""

    code = "usage"
    exit_code = 2


class PartialFailureError(DapError):
    """Some tables failed; all other tables are complete.

    Args:
        message: names the tables that failed.
        counted: the same without their names, for a report that lists them.
        retryable: whether the same call may succeed later for at least one of them.
    """

    code = "partial-failure"
    exit_code = 3
    retryable = True
    default_hint = "Run the same command again: complete tables are kept, only the rest is requested."

    def __init__(self, message: str, *, counted: str = "", retryable: bool = True) -> None:
        hint = "" if retryable else "Retrying will not help: see the hint for each table."
        super().__init__(message, hint=hint)
        self.counted = counted or message
        self.retryable = retryable


class CredentialsError(DapError):
    """Credentials are missing or not accepted."""

    code = "credentials"
    exit_code = 10


class MissingCredentialsError(CredentialsError):
    """The client id or the client secret is missing."""

    code = "credentials-missing"
    exit_code = 10


class RejectedCredentialsError(CredentialsError):
    """The service does not accept the client id and secret, or the token issued for them."""

    code = "credentials-rejected"
    exit_code = 11
    default_hint = "Check DAP_CLIENT_ID and DAP_CLIENT_SECRET; create or renew keys in the identity portal."


class AccountError(DapError):
    """The account is not allowed to use the service at this time."""

    code = "account"
    exit_code = 12


class AccountDisabledError(AccountError):
    """The account is disabled."""

    code = "account-disabled"
    exit_code = 12
    default_hint = "Ask Instructure support to enable the account; give them the error's uuid."


class AccountNotOnboardedError(AccountError):
    """The account has not been set up for the service yet."""

    code = "account-not-onboarded"
    exit_code = 13
    default_hint = "Ask Instructure support to onboard the account; give them the error's uuid."


class AccountMaintenanceError(AccountError):
    """The account is under maintenance."""

    code = "account-maintenance"
    exit_code = 14
    retryable = True
    default_hint = "Wait and run the same command again."


class ForbiddenError(AccountError):
    """The credentials are valid, but lack the permission for this request."""

    code = "forbidden"
    exit_code = 15


class NetworkError(DapError):
    """The network connection to the service failed."""

    code = "network"
    exit_code = 20
    retryable = True
    default_hint = "Check the network and run the same command again; `dap doctor` helps to find the cause."


class UnreachableError(NetworkError):
    """No connection could be made: host name not found, connection refused, no route."""

    code = "unreachable"


class StalledError(NetworkError):
    """The connection was open, but no data arrived within the read timeout."""

    code = "stalled"


class TlsError(NetworkError):
    """The server's certificate is not trusted, or TLS failed in another way."""

    code = "tls"
    exit_code = 21
    retryable = False
    default_hint = "If your network uses its own certificate authority, set --ca-file or SSL_CERT_FILE."


class ProxyError(NetworkError):
    """The proxy rejected the request or failed."""

    code = "proxy"
    exit_code = 22
    default_hint = "Check HTTPS_PROXY and NO_PROXY."


class ServiceError(DapError):
    """The service responded, but not as its interface specifies."""

    code = "service"
    exit_code = 23


class ServerError(ServiceError):
    """The service kept failing (5xx) until the retry timeout."""

    code = "server"
    exit_code = 23
    retryable = True
    default_hint = "Run the same command again later. If the error persists, give the uuid to Instructure support."


class RateLimitedError(ServiceError):
    """The service kept answering 429 (too many requests) until the retry timeout."""

    code = "rate-limited"
    exit_code = 24
    retryable = True
    default_hint = "Another program may use the same credentials: stop it, or lower --pace, and run the command again."


class UnexpectedResponseError(ServiceError):
    """A response that cannot be understood; the message shows what was received."""

    code = "unexpected-response"
    exit_code = 25
    default_hint = "Check the base URL and any proxy in between; `dap doctor` helps to find the cause."


class NotFoundError(DapError):
    """The service does not know the requested namespace, table, job or object."""

    code = "not-found"
    exit_code = 30


class TableNotFoundError(NotFoundError):
    """The namespace has no such table; the hint suggests similar names."""

    code = "table-not-found"
    exit_code = 30


class ExpiredError(NotFoundError):
    """A job or an object has expired on the service."""

    code = "expired"
    exit_code = 31
    retryable = True


class RequestError(DapError):
    """The service rejected the request."""

    code = "request-rejected"
    exit_code = 34


class OutOfRangeError(RequestError):
    """The service no longer keeps the requested time range."""

    code = "out-of-range"
    exit_code = 32


class SnapshotRequiredError(RequestError):
    """The service has reloaded the table, so increments from before that time are invalid."""

    code = "snapshot-required"
    exit_code = 33
    default_hint = "Take a new snapshot of the table, then continue with increments from its `at`."


class NoBaselineError(RequestError):
    """The folder given as `--since` has no complete earlier result of this table."""

    code = "no-baseline"
    exit_code = 36
    default_hint = "Take a snapshot of the table into that folder first, in the same format and mode."


class JobFailedError(DapError):
    """The service's job for the table failed, and submitting it again did not help."""

    code = "job-failed"
    exit_code = 35
    retryable = True
    default_hint = "Run the same command again later. If the error persists, give the uuid to Instructure support."


class IntegrityError(DapError):
    """A downloaded file is truncated, corrupt, or has the wrong length."""

    code = "integrity"
    exit_code = 40
    retryable = True
    default_hint = "Run the same command again: no damaged file was kept."


class MalformedFileError(IntegrityError):
    """The text of a file cannot be loaded as it is, although the file is exactly as the service sent it."""

    code = "malformed-file"
    exit_code = 49
    retryable = False
    default_hint = (
        "The service sends the same file until its job expires, after 24 hours. If the error persists after that, give"
        " the message to Instructure support."
    )


class UnsafeNameError(IntegrityError):
    """The service sent a name that cannot be used safely as a file name."""

    code = "unsafe-name"
    exit_code = 41
    retryable = False


class OutputError(DapError):
    """The output folder or stdout cannot be written."""

    code = "output"
    exit_code = 42
    default_hint = "Use --output-directory to choose a folder that you can write to."


class DiskFullError(OutputError):
    """The disk does not have enough free space."""

    code = "disk-full"
    exit_code = 43
    default_hint = "Free some space and run the same command again: it resumes where it stopped."


class JournalError(OutputError):
    """The journal of an earlier run cannot be read."""

    code = "journal"
    exit_code = 44
    default_hint = "Run the command with --new: it sets the journal aside and verifies the existing files."


class ManifestError(OutputError):
    """A folder's manifest cannot be read or is invalid."""

    code = "manifest"
    exit_code = 45


class VerificationError(DapError):
    """`dap verify` found problems."""

    code = "verification"
    exit_code = 46


class LockedError(DapError):
    """Another process is already doing the same work."""

    code = "locked"
    exit_code = 47
    retryable = True
    default_hint = "Let it finish, or use --wait to wait for it."


class DiagnosisError(DapError):
    """`dap doctor` found problems."""

    code = "diagnosis"
    exit_code = 48


class InterruptedRunError(DapError):
    """Stopped cleanly by Ctrl-C or a signal."""

    code = "interrupted"
    exit_code = 130
    retryable = True
    default_hint = "Run the same command again: it resumes where it stopped."
