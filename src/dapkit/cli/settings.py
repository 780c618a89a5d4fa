"""Options and environment, made into frozen settings.

The only reader of the environment beside `client/credentials.py`. Options win over the environment; an option
after the command wins over the same one before it (`options.py` merges them). Knows nothing of click.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dapkit.config.settings import (
    DEFAULT_URL,
    READ_TIMEOUT,
    RETRY_TIMEOUT,
    ConnectionSettings,
    SandboxSettings,
    read_number,
    user_state_folder,
)
from dapkit.errors import UsageError

if TYPE_CHECKING:
    from dapkit.protocol.budget import RateLimit

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("plain", "json")
THEMES = ("dark", "light", "high-contrast-bw")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSettings:
    """What is told, where and how.

    `log_level` is None when nobody asked for one (then it is info); a `dumb` terminal cannot be drawn on.
    """

    log_level: str | None
    log_file: Path | None
    log_format: str
    log_to_console: bool
    interactive: bool
    theme: str
    color: bool
    quiet: bool
    json: bool
    dumb: bool

    @property
    def silent(self) -> bool:
        """Whether a success is told to nobody: as asked for, or where neither log lines nor progress are wanted."""
        return self.quiet or not (self.log_to_console or self.interactive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that every command needs to know besides its own options."""

    connection: ConnectionSettings
    messages: MessageSettings


def read_settings(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Make the settings from the options given (by parameter name) and the environment.

    Raises:
        UsageError: a value that cannot be meant, or options that exclude each other.
    """
    _check_tracking(environ)
    return Settings(connection=_read_connection(given, environ), messages=read_messages(given, environ))


def read_messages(given: Mapping[str, Any], environ: Mapping[str, str]) -> MessageSettings:
    """Make the settings of what is told; raises UsageError for an unknown DAP_CONSOLE_THEME."""
    return MessageSettings(
        log_level=given.get("loglevel"),
        log_file=given.get("logfile"),
        log_format=given.get("logformat") or "plain",
        log_to_console=not given.get("no_log_to_console"),
        interactive=not given.get("non_interactive"),
        theme=_choice(given.get("console_theme"), environ, "DAP_CONSOLE_THEME", THEMES) or THEMES[0],
        color=not environ.get("NO_COLOR"),
        quiet=bool(given.get("quiet")),
        json=bool(given.get("json")),
        dumb=environ.get("TERM", "").lower() in {"dumb", "unknown"},
    )


def other_commands(environ: Mapping[str, str], name: str) -> tuple[Path, ...]:
    """Return every executable called `name` on PATH, in the order in which a shell finds them."""
    folders = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    suffixes = (".exe", ".cmd", ".bat") if sys.platform == "win32" else ("",)
    candidates = (folder / f"{name}{suffix}" for folder in folders for suffix in suffixes)
    # os.path, not pathlib: a folder that may not be read holds nothing that a shell could find
    found = (path for path in candidates if os.path.isfile(path) and os.access(path, os.X_OK))  # noqa: PTH113
    return tuple(dict.fromkeys(found))


def _read_connection(given: Mapping[str, Any], environ: Mapping[str, str]) -> ConnectionSettings:
    sandbox = _read_sandbox(given, environ)
    notices: list[str] = []
    if sandbox is not None:
        if given.get("base_url") is not None:
            raise UsageError(
                "--sandbox and --base-url exclude each other.",
                hint="The sandbox has an address of its own; leave out one of the two.",
            )
        if environ.get("DAP_API_URL"):
            notices.append("DAP_API_URL is ignored beside --sandbox.")
        if sandbox.home is None:
            notices.append("There is no home folder, so the sandbox's clock is not kept: see DAP_SANDBOX_HOME.")
    base_url = given.get("base_url")
    return ConnectionSettings(
        base_url=base_url if base_url is not None else environ.get("DAP_API_URL") or DEFAULT_URL,
        client_id=given.get("client_id"),
        client_secret=given.get("client_secret"),
        client_secret_file=given.get("client_secret_file"),
        scope=given.get("scope") or environ.get("DAP_SCOPE") or None,
        pace=_read_pace(given, environ, sandbox=sandbox is not None),
        retry_timeout=read_number(given.get("patience"), environ, "DAP_RETRY_TIMEOUT", RETRY_TIMEOUT),
        read_timeout=read_number(given.get("read_timeout"), environ, "DAP_READ_TIMEOUT", READ_TIMEOUT, positive=True),
        ca_file=given.get("ca_file"),
        state_folder=user_state_folder(environ),
        sandbox=sandbox,
        environ=environ,
        notices=tuple(notices),
    )


def _read_pace(given: Mapping[str, Any], environ: Mapping[str, str], *, sandbox: bool) -> "RateLimit":
    from dapkit.protocol.budget import NO_RATE_LIMIT, PUBLISHED_RATE_LIMIT, RateLimit  # noqa: PLC0415, keeps --help quick

    default = NO_RATE_LIMIT if sandbox else PUBLISHED_RATE_LIMIT
    for name, text in (("--pace", given.get("pace")), ("DAP_PACE", environ.get("DAP_PACE") or None)):
        if text is None:
            continue
        try:
            return RateLimit.parse(text)
        except UsageError as error:
            message = f"{name}: {error.message}"
            raise UsageError(message, hint=error.hint) from None
    return default


def _read_sandbox(given: Mapping[str, Any], environ: Mapping[str, str]) -> SandboxSettings | None:
    if not given.get("sandbox"):
        for name in ("sandbox_scale", "sandbox_seed", "sandbox_job_seconds"):
            if given.get(name) is not None:
                flag = "--" + name.replace("_", "-")
                message = f"{flag} has no meaning without --sandbox."
                raise UsageError(message, hint="Add --sandbox, or leave it out.")
        return None
    home = environ.get("DAP_SANDBOX_HOME")
    state = user_state_folder(environ)
    return SandboxSettings(
        home=Path(home) if home else state / "sandbox" if state else None,
        seed=int(read_number(given.get("sandbox_seed"), environ, "DAP_SANDBOX_SEED", 1, int)),
        scale=read_number(given.get("sandbox_scale"), environ, "DAP_SANDBOX_SCALE", 1.0, positive=True),
        job_seconds=read_number(given.get("sandbox_job_seconds"), environ, "DAP_SANDBOX_JOB_SECONDS", 2.0),
    )


def _choice(option: str | None, environ: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    value = option or environ.get(name, "").lower()
    if value and value not in choices:
        message = f"{name} is {value!r}, which it cannot be."
        raise UsageError(message, hint=f"Use one of {', '.join(choices)}, or unset it.")
    return value


def _check_tracking(environ: Mapping[str, str]) -> None:
    # dapkit tracks nothing; the variable is read only so that a slip in a script is noticed, as officially.
    value = environ.get("DAP_TRACKING")
    if value and value.strip().lower() not in _TRUE | _FALSE:
        message = f"DAP_TRACKING is {value!r}, which is neither true nor false."
        raise UsageError(message, hint="Use true, 1, yes, on, or false, 0, no, off.")
