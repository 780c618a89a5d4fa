"""Targets that are a SQL database: a server at an address, or a file."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dapkit.errors import TargetRejectedError
from dapkit.targets.base import Capabilities
from dapkit.targets.sql.driver import Driver
from dapkit.targets.sql.session import SqlTargetSession

IN_MEMORY = Path(":memory:")


@dataclass(frozen=True, kw_only=True)
class ServerTarget:
    """A database on a server.

    Attributes:
        name: its address, without anything secret.
        capabilities: what kind of database it is.
        connect: opens a connection.
        warning: what a user should know before anything is written there.
    """

    name: str
    capabilities: Capabilities
    connect: Callable[[], Driver] = field(repr=False)
    warning: str | None = None

    @property
    def empty_substitute(self) -> None:
        """None: opening a server target creates nothing."""
        return

    def open(self) -> SqlTargetSession:
        """Connect."""
        return SqlTargetSession(self.connect())


@dataclass(frozen=True, kw_only=True)
class FileTarget:
    """A database in a file.

    Attributes:
        scheme: of its URL.
        path: the file.
        capabilities: what kind of database it is.
        connect: opens a file, which it creates where it is missing.
        warning: what a user should know before anything is written there.
    """

    scheme: str
    path: Path
    capabilities: Capabilities
    connect: Callable[[Path], Driver] = field(repr=False)
    warning: str | None = None

    @property
    def name(self) -> str:
        """The URL with the full path."""
        return f"{self.scheme}:{self.path.absolute()}"

    @property
    def empty_substitute(self) -> "FileTarget | None":
        """An empty database in memory, as long as the file is missing."""
        return replace(self, path=IN_MEMORY) if _is_missing(self.path) else None

    def open(self) -> SqlTargetSession:
        """Open the file, which is created where it is missing; its folder is not."""
        folder = self.path.absolute().parent
        if not folder.is_dir():
            message = f"{self.path} cannot be opened: the folder {folder} does not exist"
            raise TargetRejectedError(message, hint="Create the folder, or correct the path.")
        return SqlTargetSession(self.connect(self.path))


def _is_missing(path: Path) -> bool:
    """Whether there is no file. An inaccessible file is not missing: opening it reports the error."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
