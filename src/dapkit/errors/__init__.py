"""Every error that dapkit raises on purpose, as one tree.

An error is an interface: its class knows a stable `code` for programs, the `exit_code` of the command, and
whether the same call may well succeed later (`retryable`). An instance adds what a person needs: a message that
says what is wrong, a `hint` that says what to do, and where it happened. Codes and exit codes are only ever added.

    DapError
    ├── InternalError                 internal               1
    ├── UsageError                    usage                  2
    ├── PartlyFailedError             partly-failed          3
    ├── CredentialsError
    │   ├── MissingCredentialsError   credentials-missing   10
    │   └── RejectedCredentialsError  credentials-rejected  11
    ├── AccountError                  account               12
    │   ├── AccountDisabledError      account-disabled      12
    │   ├── AccountNotOnboardedError  account-not-onboarded 13
    │   ├── AccountMaintenanceError   account-maintenance   14
    │   └── ForbiddenError            forbidden             15
    ├── NetworkError                  network               20
    │   ├── UnreachableError          unreachable           20
    │   ├── StalledError              stalled               20
    │   ├── TlsError                  tls                   21
    │   └── ProxyError                proxy                 22
    ├── ServiceError
    │   ├── ServerError               server                23
    │   ├── RateLimitedError          rate-limited          24
    │   └── UnexpectedAnswerError     unexpected-answer     25
    ├── NotFoundError                 not-found             30
    │   ├── TableNotFoundError        table-not-found       30
    │   └── ExpiredError              expired               31
    ├── RequestError                  request-refused       34
    │   ├── OutOfRangeError           out-of-range          32
    │   ├── SnapshotRequiredError     snapshot-required     33
    │   └── NoEarlierResultError      no-earlier-result     36
    ├── JobFailedError                job-failed            35
    ├── IntegrityError                integrity             40
    │   └── UnsafeNameError           unsafe-name           41
    ├── OutputError                   output                42
    │   ├── DiskFullError             disk-full             43
    │   ├── JournalError              journal               44
    │   └── ManifestError             manifest              45
    ├── VerificationError             verification          46
    ├── LockedError                   locked                47
    ├── DiagnosisError                diagnosis             48
    ├── TargetError                   target                50
    │   ├── UnreachableTargetError    target-unreachable    51
    │   │   └── RefusedTargetError    target-refused        51
    │   ├── BusyTargetError           target-busy           61
    │   ├── FullTargetError           target-full           62
    │   ├── ForbiddenTargetError      target-forbidden      50
    │   ├── MissingDriverError        driver-missing        52
    │   ├── LayoutError               layout                53
    │   ├── OriginError               origin                54
    │   ├── MovedOnError              moved-on              55
    │   ├── UnalterableError          unalterable           56
    │   ├── BadValueError             bad-value             57
    │   ├── NotReplicatedError        not-replicated        58
    │   ├── AlreadyReplicatedError    already-replicated    59
    │   └── ReconciliationError       reconciliation        60
    └── InterruptedRunError           interrupted          130
"""

from dapkit.errors.database import (
    AlreadyReplicatedError as AlreadyReplicatedError,
    BadValueError as BadValueError,
    BusyTargetError as BusyTargetError,
    ForbiddenTargetError as ForbiddenTargetError,
    FullTargetError as FullTargetError,
    LayoutError as LayoutError,
    MissingDriverError as MissingDriverError,
    MovedOnError as MovedOnError,
    NotReplicatedError as NotReplicatedError,
    OriginError as OriginError,
    ReconciliationError as ReconciliationError,
    RefusedTargetError as RefusedTargetError,
    TargetError as TargetError,
    UnalterableError as UnalterableError,
    UnreachableTargetError as UnreachableTargetError,
)
from dapkit.errors.root import DapError as DapError


class InternalError(DapError):
    """A fault of dapkit itself."""

    code = "internal"
    exit_code = 1
    default_hint = "This is a fault of dapkit. Run again with --loglevel debug and report what it prints."


class UsageError(DapError):
    """The command or call was written wrongly."""

    code = "usage"
    exit_code = 2


class PartlyFailedError(DapError):
    """Some tables failed; whatever else was asked for is whole.

    Args:
        message: which ones.
        retryable: whether the same call may bring one of them later.
    """

    code = "partly-failed"
    exit_code = 3
    retryable = True
    default_hint = "Run the same command again: what is whole is kept, only the rest is asked for."

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        hint = "" if retryable else "Running it again will not help by itself: see what each table needs."
        super().__init__(message, hint=hint)
        self.retryable = retryable


class CredentialsError(DapError):
    """Something about the credentials."""

    code = "credentials"
    exit_code = 10


class MissingCredentialsError(CredentialsError):
    """No client id or no client secret was given."""

    code = "credentials-missing"
    exit_code = 10


class RejectedCredentialsError(CredentialsError):
    """The service does not accept the client id and secret, or the token they earned."""

    code = "credentials-rejected"
    exit_code = 11
    default_hint = "Check DAP_CLIENT_ID and DAP_CLIENT_SECRET; keys are made and renewed at the identity portal."


class AccountError(DapError):
    """The account may not do this now."""

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
    """The credentials are good, but not for this."""

    code = "forbidden"
    exit_code = 15


class NetworkError(DapError):
    """The network between us and the service failed."""

    code = "network"
    exit_code = 20
    retryable = True
    default_hint = "Check the network and run the same command again; `dap doctor` helps to find the cause."


class UnreachableError(NetworkError):
    """No connection could be made: name not found, refused, no route."""

    code = "unreachable"


class StalledError(NetworkError):
    """The connection stood, but nothing came for too long."""

    code = "stalled"


class TlsError(NetworkError):
    """The other side's certificate is not trusted, or TLS failed in another way."""

    code = "tls"
    exit_code = 21
    retryable = False
    default_hint = "If your network uses a certificate authority of its own, name it with --ca-file or SSL_CERT_FILE."


class ProxyError(NetworkError):
    """The proxy refused or failed."""

    code = "proxy"
    exit_code = 22
    default_hint = "Check HTTPS_PROXY and NO_PROXY."


class ServiceError(DapError):
    """The service answered, but not with what it promises."""

    code = "service"
    exit_code = 23


class ServerError(ServiceError):
    """The service failed (5xx) more often than patience allows."""

    code = "server"
    exit_code = 23
    retryable = True
    default_hint = "Run the same command again later; if it stays, give the uuid to Instructure support."


class RateLimitedError(ServiceError):
    """The service said 429 more often than patience allows."""

    code = "rate-limited"
    exit_code = 24
    retryable = True
    default_hint = "Another program uses the same credentials; stop it, or narrow --pace, and run again."


class UnexpectedAnswerError(ServiceError):
    """An answer that cannot be understood; the message names what came."""

    code = "unexpected-answer"
    exit_code = 25
    default_hint = "Check the base URL and any proxy in between; `dap doctor` helps to find the cause."


class NotFoundError(DapError):
    """The service does not know what was asked for."""

    code = "not-found"
    exit_code = 30


class TableNotFoundError(NotFoundError):
    """The namespace has no such table; the message names the nearest known ones."""

    code = "table-not-found"
    exit_code = 30


class ExpiredError(NotFoundError):
    """A job or object that existed is gone."""

    code = "expired"
    exit_code = 31
    retryable = True


class RequestError(DapError):
    """The service refuses the request as written."""

    code = "request-refused"
    exit_code = 34


class OutOfRangeError(RequestError):
    """The range asked for is not kept by the service."""

    code = "out-of-range"
    exit_code = 32


class SnapshotRequiredError(RequestError):
    """The table was reloaded: increments from there are void."""

    code = "snapshot-required"
    exit_code = 33
    default_hint = "Take a new snapshot of the table, then go on with increments from its `at`."


class NoEarlierResultError(RequestError):
    """`--since FOLDER` has no whole earlier result of this table."""

    code = "no-earlier-result"
    exit_code = 36
    default_hint = "Take a snapshot of the table into that folder first, in the same format and mode."


class JobFailedError(DapError):
    """The service's job for the table failed, and asking again did not help."""

    code = "job-failed"
    exit_code = 35
    retryable = True
    default_hint = "Run the same command again later; if it stays, give the uuid to Instructure support."


class IntegrityError(DapError):
    """What came is not what was sent: truncated, corrupt, or of another length."""

    code = "integrity"
    exit_code = 40
    retryable = True
    default_hint = "Run the same command again: nothing wrong was kept."


class UnsafeNameError(IntegrityError):
    """The service named a file in a way that cannot be used safely."""

    code = "unsafe-name"
    exit_code = 41
    retryable = False


class OutputError(DapError):
    """The output folder, or stdout, cannot be written."""

    code = "output"
    exit_code = 42
    default_hint = "Name a folder that you may write to with --output-directory."


class DiskFullError(OutputError):
    """No space is left for what comes next."""

    code = "disk-full"
    exit_code = 43
    default_hint = "Free some space and run the same command again: it goes on from where it was."


class JournalError(OutputError):
    """The record of an earlier run cannot be read."""

    code = "journal"
    exit_code = 44
    default_hint = "Run the command with --new: it sets the record aside and proves the files that are there."


class ManifestError(OutputError):
    """A folder's manifest cannot be read, or does not say what a manifest says."""

    code = "manifest"
    exit_code = 45


class VerificationError(DapError):
    """`dap verify` found something wrong."""

    code = "verification"
    exit_code = 46


class LockedError(DapError):
    """Another process is doing just this."""

    code = "locked"
    exit_code = 47
    retryable = True
    default_hint = "Wait for it with --wait, or let it finish."


class DiagnosisError(DapError):
    """`dap doctor` found something wrong."""

    code = "diagnosis"
    exit_code = 48


class InterruptedRunError(DapError):
    """Stopped by Ctrl-C or a signal, cleanly."""

    code = "interrupted"
    exit_code = 130
    retryable = True
    default_hint = "Run the same command again: it goes on from where it was."
