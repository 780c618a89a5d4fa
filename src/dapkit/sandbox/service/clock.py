"""The two clocks of the sandbox, and the text format of its timestamps.

The real clock drives tokens, jobs and signed URLs; tests may skip it ahead. The data clock decides which rows exist.
It does not advance until a caller moves it, so that results are repeatable. It can be stored in a folder, from which
the next process continues. Both count milliseconds since the Unix epoch.
"""

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dapkit.errors import OutputError
from dapkit.sandbox.data.timeline import HOUR, REFRESH

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(time_ms: int) -> str:
    """Return a time as the service writes it: ISO 8601 in UTC with `Z`, and a fraction only if it is not zero."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    unit = "milliseconds" if time_ms % 1000 else "seconds"
    return moment.isoformat(timespec=unit).replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """Return a time with a zone in milliseconds, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_timestamp(text: str) -> int:
    """Return an ISO 8601 time with a zone in milliseconds, rounded down. Raises ValueError for any other text."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or len(text) <= len("2026-01-01"):
        message = f"{text!r} needs a time and a zone"
        raise ValueError(message)
    return milliseconds(moment)


def last_refresh(time_ms: int) -> int:
    """Return the time of the latest refresh of the data at or before a time."""
    return time_ms - time_ms % REFRESH


class RealClock:
    """The time for tokens, jobs and URLs: `source` (in seconds) plus what was skipped."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._skipped_ms = 0

    def now_ms(self) -> int:
        """Return the current time."""
        return int(self._source() * 1000) + self._skipped_ms

    def skip(self, seconds: float) -> None:
        """Move the clock ahead."""
        self._skipped_ms += int(seconds * 1000)


class DataClock:
    """The time whose rows the sandbox serves.

    With a `home`, the time is read from a file in this folder and stored there; `first_ms` is the start of a new
    clock. A process sees its own value until it moves the clock itself, so that another process does not change the
    responses in the middle of a command.
    """

    def __init__(self, first_ms: int, home: Path | None = None) -> None:
        self._file = None if home is None else home / "clock.json"
        stored = self._read()
        self._now_ms = first_ms if stored is None else stored

    def now_ms(self) -> int:
        """Return the current time of the data."""
        return self._now_ms

    def set(self, time_ms: int) -> None:
        """Set the clock, also to an earlier time, and store it. Raises OutputError if it cannot be stored."""
        self._now_ms = time_ms
        if self._file is None:
            return
        part = self._file.with_suffix(".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # Renamed into place, so that another process never reads a half-written file.
            part.write_text(json.dumps({"data_time": timestamp(time_ms)}) + "\n", encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            raise self._unusable("written", error) from error

    def check(self) -> None:
        """Raise OutputError if the clock could not be stored. The stored time stays as it is."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._file.parent):
                pass
        except OSError as error:
            raise self._unusable("written", error) from error

    def advance(self, hours: float) -> None:
        """Move ahead from the current time, or from the stored time of another process if that is later."""
        start_ms = max(self._now_ms, self._read() or self._now_ms)
        self.set(start_ms + int(hours * HOUR))

    def _unusable(self, action: str, error: OSError) -> OutputError:
        return OutputError(
            f"The sandbox's data clock {self._file} cannot be {action}: {error.strerror or error}",
            hint="Set DAP_SANDBOX_HOME to a folder that you may write to.",
        )

    def _read(self) -> int | None:
        """Return the stored time, or None without one. Raises OutputError if the file cannot be read or parsed."""
        if self._file is None:
            return None
        try:
            return parse_timestamp(json.loads(self._file.read_text(encoding="utf-8"))["data_time"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable("read", error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"The sandbox's data clock {self._file} contains no valid time",
                hint="Delete the file to start with a new clock.",
            ) from error
