"""One failing table does not stop the others, unless the error would affect every table."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from dapkit.errors import (
    AccountError,
    CredentialsError,
    DapError,
    DiskFullError,
    ForbiddenError,
    InternalError,
    JournalError,
    ManifestError,
    OutputError,
)
from dapkit.failures import TableFailed
from dapkit.protocol.redaction import redact
from dapkit.storage.atomic import is_writable

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)


async def isolate(
    table: str, output: Path, work: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
) -> R | TableFailed:
    """Call `work` for one table, and return its result or the table's failure.

    Args:
        table: the name of the table.
        output: the folder that all tables write to.
        work: what to do.
        args: of `work`.
        kwargs: of `work`.

    Raises:
        DapError: an error that would affect every other table too.
    """
    try:
        return await work(*args, **kwargs)
    except DapError as error:
        if is_fatal(error, output):
            raise
        failure = error
    except Exception as error:
        log.debug("table %s", table, exc_info=error)
        # The exception of another library may quote a URL or a header with secrets in it.
        failure = InternalError(f"{type(error).__name__}: {redact(str(error))}")
    failure.table = failure.table or table
    return TableFailed(table=table, error=failure)


def is_fatal(error: DapError, output: Path) -> bool:
    """Return whether an error would affect every other table too."""
    match error:
        case ForbiddenError() | ManifestError():
            return False
        case CredentialsError() | AccountError() | DiskFullError() | JournalError():
            return True
        case OutputError():  # perhaps only one table's files are blocked, for example by a folder of the same name
            return not is_writable(output)
    return False
