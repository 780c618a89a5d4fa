"""What the doctor makes of what it found: from observations to findings, each with what to do. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from dapkit.cli import formatting as wording
from dapkit.errors import DapError

SKEW_WARNING = 60.0
SKEW_FAILURE = 300.0
SPACE_WARNING = 10e9
SPACE_FAILURE = 100e6
OFFICIAL_PACKAGE = "instructure-dap-client"


class Verdict(StrEnum):
    """How grave a finding is; `skip` says that it could not be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    verdict: Verdict
    message: str
    advice: str = ""

    def as_dict(self) -> dict[str, str | None]:
        """Return the finding as a JSON object."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "message": self.message,
            "advice": self.advice or None,
        }

    def lines(self) -> list[str]:
        """Return the finding as a line for people, and one more that says what to do."""
        lines = [f"{self.verdict.value:<5} {self.check:<13} {self.message}"]
        if self.advice:
            lines.append(f"{'':<20} -> {self.advice}")
        return lines


def ok(check: str, message: str) -> Finding:
    """Return the finding that all is well."""
    return Finding(check=check, verdict=Verdict.OK, message=message)


def skipped(check: str, reason: str) -> Finding:
    """Return the finding that something could not be looked at."""
    return Finding(check=check, verdict=Verdict.SKIP, message=reason)


def failed(check: str, error: DapError) -> Finding:
    """Return the finding that an attempt ended with an error."""
    uuid = f" (uuid {error.uuid})" if error.uuid else ""
    return Finding(check=check, verdict=Verdict.FAIL, message=f"{error.message}{uuid}", advice=error.hint)


def judge_skew(skew: float | None) -> Finding:
    """Judge how many seconds this machine's clock is ahead of the service's; None when it sent no date."""
    if skew is None:
        return skipped("clock", "The service sent no date to compare with.")
    side = "ahead of" if skew > 0 else "behind"
    message = f"This clock is {wording.duration(abs(skew))} {side} the service's."
    if abs(skew) < SKEW_WARNING:
        return ok("clock", message)
    verdict = Verdict.WARN if abs(skew) < SKEW_FAILURE else Verdict.FAIL
    advice = "Set the clock by a time server; times without a zone and TLS depend on it."
    return Finding(check="clock", verdict=verdict, message=message, advice=advice)


def judge_space(free: int, folder: Path) -> Finding:
    """Judge the bytes that are free where the output would go."""
    message = f"{wording.size(free)} free for {folder}."
    if free >= SPACE_WARNING:
        return ok("space", message)
    verdict = Verdict.WARN if free >= SPACE_FAILURE else Verdict.FAIL
    advice = "A large institution's snapshot takes tens of GB: free some space or name another folder."
    return Finding(check="space", verdict=verdict, message=message, advice=advice)


def judge_proxy(proxy: str | None, url: str) -> Finding:
    """Say which proxy stands between, without its credentials."""
    host = urlsplit(url).hostname or url
    if proxy is None:
        return ok("proxy", f"None: {host} is reached directly.")
    return ok("proxy", f"{without_credentials(proxy)} for {host}.")


def without_credentials(url: str) -> str:
    """Return a URL without user and password."""
    head, separator, tail = url.partition("://")
    rest = tail if separator else head
    return (f"{head}://" if separator else "") + rest.rpartition("@")[2]


def judge_installation(commands: Sequence[Path], own: Path, official_version: str | None) -> Finding:
    """Judge which programs are called `dap`: `own` is ours, `commands` those on PATH, in its order."""
    if official_version is not None:
        return Finding(
            check="installation",
            verdict=Verdict.WARN,
            message=f"{OFFICIAL_PACKAGE} {official_version} is installed beside dapkit; both bring dap.",
            advice=f"Use the command dapkit, which is always ours, or uninstall {OFFICIAL_PACKAGE} here.",
        )
    others = [path for path in commands if path != own]
    if not others:
        return ok("installation", "No other command is called dap.")
    first = "comes first on PATH" if commands[0] != own else "comes later on PATH"
    return Finding(
        check="installation",
        verdict=Verdict.WARN,
        message=f"Another command called dap {first}: {others[0]}.",
        advice="Use the command dapkit, or put dapkit's folder first on PATH.",
    )
