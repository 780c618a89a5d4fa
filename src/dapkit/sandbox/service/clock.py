"""The sandbox's two clocks, and the text of its timestamps.

The real clock drives tokens, jobs and signed URLs; tests may move it ahead. The data clock says which rows
exist: it stands still until it is told to move, so that results repeat, and may live in a folder so that the
next process goes on from it. Both speak integer milliseconds since the Unix epoch.
"""

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dapkit.errors import OutputError

HOUR_MS = 3_600_000
REFRESH_MS = 4 * HOUR_MS
"""How often the service renews its data."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(moment_ms: int) -> str:
    """Return the service's text of a moment: ISO 8601, UTC, `Z`, fractions only where there are any."""
    moment = _EPOCH + timedelta(milliseconds=moment_ms)
    unit = "milliseconds" if moment_ms % 1000 else "seconds"
    return moment.isoformat(timespec=unit).replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """Return an aware moment in milliseconds, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_timestamp(text: str) -> int:
    """Return the milliseconds, rounded down, of an ISO 8601 text with a zone; else raise ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or len(text) <= len("2026-01-01"):
        message = "a date-time needs a time and a zone"
        raise ValueError(message)
    return milliseconds(moment)


def last_refresh(moment_ms: int) -> int:
    """Return the refresh time at or before a moment."""
    return moment_ms - moment_ms % REFRESH_MS


class RealClock:
    """Time as tokens, jobs and URLs see it: that of `source` (seconds), plus what was skipped."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self.skipped_ms = 0

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return int(self._source() * 1000) + self.skipped_ms

    def skip(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self.skipped_ms += int(seconds * 1000)


class DataClock:
    """The moment whose rows the sandbox serves.

    With a `home`, the moment is read from and kept in a file there; `first_ms` is where a new one starts. A
    process keeps its own view until it moves the clock itself: what another process does in between does not
    change the answers of a running command.
    """

    def __init__(self, first_ms: int, home: Path | None = None) -> None:
        self._file = None if home is None else home / "clock.json"
        stored = self._read()
        self._now_ms = first_ms if stored is None else stored

    def now_ms(self) -> int:
        """Return the data's moment in milliseconds."""
        return self._now_ms

    def set(self, moment_ms: int) -> None:
        """Move to a moment, earlier ones included, and keep it. Raises OutputError when it cannot be kept."""
        self._now_ms = moment_ms
        if self._file is None:
            return
        part = self._file.with_suffix(".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"data_time": timestamp(moment_ms)}) + "\n", encoding="utf-8")
            part.replace(self._file)
        except OSError as error:
            raise self._unusable("written", error) from error

    def check(self) -> None:
        """Raise OutputError when a moment could not be kept; the stored one stays as it is."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._file.parent):
                pass
        except OSError as error:
            raise self._unusable("written", error) from error

    def advance(self, hours: float) -> None:
        """Move ahead from here, or from where another process has put the stored clock, if later."""
        start_ms = max(self._now_ms, self._read() or self._now_ms)
        self.set(start_ms + int(hours * HOUR_MS))

    def _unusable(self, done: str, error: OSError) -> OutputError:
        return OutputError(
            f"The sandbox's data clock {self._file} cannot be {done}: {error.strerror or error}.",
            hint="Name a folder that you may write to with DAP_SANDBOX_HOME.",
        )

    def _read(self) -> int | None:
        """Return the stored moment, if there is one; raise OutputError when it cannot be understood."""
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
                f"The sandbox's data clock {self._file} holds no time.",
                hint="Remove the file: the clock then starts anew.",
            ) from error
