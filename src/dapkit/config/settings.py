"""What a connection is made of, for the command and the library alike. Importing it costs next to nothing."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dapkit.errors import UsageError

if TYPE_CHECKING:
    from dapkit.protocol.budget import RateLimit

DEFAULT_URL = "https://api-gateway.instructure.com"
RETRY_TIMEOUT = 900.0
READ_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """The sandbox inside the process: `seed` and `scale` of its data, where its data clock lies (None: in memory)."""

    home: Path | None
    seed: int = 1
    scale: float = 1.0
    job_seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """Where the service is and who asks. With `sandbox`, address and credentials are the sandbox's own.

    `environ` goes on to the reader of credentials; `retry_timeout` and `read_timeout` are seconds; `notices` are
    told when the connection is opened. Without a `state_folder` nothing is shared with other processes.
    """

    base_url: str
    client_id: str | None
    client_secret: str | None
    client_secret_file: Path | None
    scope: str | None
    pace: "RateLimit"
    retry_timeout: float = RETRY_TIMEOUT
    read_timeout: float = READ_TIMEOUT
    ca_file: Path | None
    state_folder: Path | None
    sandbox: SandboxSettings | None
    environ: Mapping[str, str]
    notices: tuple[str, ...] = ()


def user_state_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return where this platform keeps a program's state for one user, or None without a home; nothing is created."""
    if platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return Path(local) / "dapkit" if local else _in_home("AppData/Local/dapkit")
    if platform == "darwin":
        return _in_home("Library/Application Support/dapkit")
    state = environ.get("XDG_STATE_HOME")
    return Path(state) / "dapkit" if state and Path(state).is_absolute() else _in_home(".local/state/dapkit")


def read_number(
    given: float | None,
    environ: Mapping[str, str],
    name: str,
    default: float,
    kind: Callable[[str], float] = float,
    *,
    positive: bool = False,
) -> float:
    """Return the number that is given, else that of the variable `name`, else the default.

    Raises:
        UsageError: it is no number (of this kind), not finite, below 0, or not above it though `positive`.
    """
    text = environ.get(name)
    if given is None and not text:
        return default
    try:
        value = given if given is not None else kind(text or "")
    except ValueError:
        value = math.nan
    if 0 <= value < math.inf and (value or not positive):
        return value
    source, shown = (name, repr(text)) if given is None else (name.removeprefix("DAP_").lower(), str(given))
    message = (
        f"{source} is {shown}, which is no {'whole ' if kind is int else ''}number {'above' if positive else 'from'} 0."
    )
    raise UsageError(message, hint="Correct it, or leave it out.")


def user_cache_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return where this platform keeps what a program can make anew for one user, or None; nothing is created."""
    if platform == "win32":
        state = user_state_folder(environ, platform)
        return state / "cache" if state else None
    if platform == "darwin":
        return _in_home("Library/Caches/dapkit")
    cache = environ.get("XDG_CACHE_HOME")
    return Path(cache) / "dapkit" if cache and Path(cache).is_absolute() else _in_home(".cache/dapkit")


def stage_root(named: Path | str | None, environ: Mapping[str, str]) -> Path:
    """Return the folder for files on their way into databases: as named, or as the environment or the platform has it.

    Raises:
        UsageError: none is named, and the user has no home folder.
    """
    chosen = named or environ.get("DAP_STAGE")
    if chosen:
        return Path(chosen)
    cache = user_cache_folder(environ)
    if cache is None:
        hint = "Name one with --stage or DAP_STAGE."
        raise UsageError("There is no home folder for files on their way into the database", hint=hint)
    return cache / "stage"


def _in_home(place: str) -> Path | None:
    try:
        return Path.home() / place
    except RuntimeError:  # a user without a home, as containers have them
        return None
