"""What a connection is made of, for the command and the library alike. Importing it costs next to nothing."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dapkit.protocol.budget import Pace

DEFAULT_URL = "https://api-gateway.instructure.com"
PATIENCE = 900.0
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

    `environ` goes on to the reader of credentials; `patience` and `read_timeout` are seconds; `notices` are told when
    the connection is opened.
    """

    base_url: str
    client_id: str | None
    client_secret: str | None
    client_secret_file: Path | None
    scope: str | None
    pace: "Pace"
    patience: float = PATIENCE
    read_timeout: float = READ_TIMEOUT
    ca_file: Path | None
    state_folder: Path
    sandbox: SandboxSettings | None
    environ: Mapping[str, str]
    notices: tuple[str, ...] = ()


def user_state_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return where this platform keeps a program's state for one user; nothing is created."""
    if platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "dapkit"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "dapkit"
    state = environ.get("XDG_STATE_HOME")
    return (Path(state) if state and Path(state).is_absolute() else Path.home() / ".local/state") / "dapkit"


def user_cache_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return where this platform keeps what a program can make anew for one user; nothing is created."""
    if platform == "win32":
        return user_state_folder(environ, platform) / "cache"
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dapkit"
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache and Path(cache).is_absolute() else Path.home() / ".cache") / "dapkit"
