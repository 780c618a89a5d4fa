"""Whether there is a file for a database that is one."""

from pathlib import Path

__all__ = ["is_missing"]


def is_missing(path: Path) -> bool:
    """Whether there is no file; of one that cannot be looked at, opening it says more."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
