"""The one reader of configuration, for the command and the library: arguments, else the environment, else defaults.

Each class of settings states next to a field which environment variable it is read from. No other module of dapkit
reads environment variables; the proxy's are read by the standard library, `SSL_CERT_FILE` by OpenSSL.
"""

import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NewType, TypeVar
from urllib.parse import quote

from dapkit.config import arguments
from dapkit.errors import UsageError
from dapkit.protocol.secrets import Address, Environment, Secret

if TYPE_CHECKING:
    from dapkit.events import Listener

T = TypeVar("T")

ENVIRON = Environment(os.environ)
"""The environment of this process. Its `repr` shows nothing: it appears in tracebacks with local variables."""

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("plain", "json")
THEMES = ("dark", "light", "high-contrast-bw")
_CONNECTION_STRING = "DAP_CONNECTION_STRING"
_BOOLEANS = frozenset({"true", "1", "yes", "on", "false", "0", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variable:
    """Where the value of a field comes from if the caller does not set it, and which values are valid."""

    variable: str
    default: Any = None
    parse: Callable[[str], Any] = str
    valid: Callable[[Any], bool] = lambda _: True
    expected: str = ""
    alias: str = ""

    def value(self, name: str, given: Any, environ: Mapping[str, str]) -> Any:
        """Return the value of the field `name`. Raises UsageError if it is invalid."""
        text = environ.get(self.variable) or environ.get(self.alias)
        if given is None and not text:
            return self.default
        if given is None and self.parse is str:
            arguments.decoded(self.variable, text or "", shown=True)
        try:
            value = self.parse(text or "") if given is None else given
            if self.valid(value):
                return value
        except ValueError:
            pass
        source, shown = (self.variable, text) if given is None else (name, given)
        raise UsageError(f"{source} has an invalid value: {shown!r}", hint=f"Use {self.expected}.")


def _setting(variable: str, *, secret: bool = False, **source: Any) -> Any:
    """Return a field that `_resolved` fills in. Until then it is None, which its type does not mention."""
    if secret:
        source["parse"] = Secret
    return field(default=None, repr=not secret, metadata={"source": _Variable(variable=variable, **source)})


def _number(
    variable: str, default: float, *, parse: Callable[[str], float] = float, positive: bool = False, alias: str = ""
) -> Any:
    return _setting(
        variable,
        default=default,
        parse=parse,
        valid=lambda value: 0 <= value < math.inf and (value > 0 or not positive),
        expected=f"{'an integer' if parse is int else 'a number'} {'greater than' if positive else 'of at least'} 0",
        alias=alias,
    )


def _is_pace(text: str) -> bool:
    from dapkit.protocol.budget import RateLimit  # noqa: PLC0415, `dap --help` does not need it

    try:
        RateLimit.parse(text)
    except UsageError:
        return False
    return True


def _ignore(_event: object) -> None:
    """Ignore the event."""


def _check_number(name: str, value: object) -> None:
    arguments.number(name, value, least=0)


_CLIENT_CHECKS: Mapping[str, Callable[[str, object], object]] = {
    "base_url": arguments.text,
    "client_id": arguments.text,
    "scope": arguments.text,
    "pace": arguments.text,
    "retry_timeout": _check_number,
    "read_timeout": _check_number,
    "sandbox": arguments.flag,
    "sandbox_seed": _check_number,
    "sandbox_scale": _check_number,
    "sandbox_job_seconds": _check_number,
}
"""How each option of a client is checked. The ranges of values are those of `_Variable.valid`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """Which service to use, and how. Each field has a default.

    Fields that you do not set are read from the same environment variables as for the command, such as `DAP_API_URL`.

    Attributes:
        base_url: URL of the service (`DAP_API_URL`).
        client_id: client id (`DAP_CLIENT_ID`).
        client_secret: client secret (`DAP_CLIENT_SECRET`).
        client_secret_file: file that contains the client secret (`DAP_CLIENT_SECRET_FILE`).
        scope: root account, if the credentials give access to several (`DAP_SCOPE`).
        pace: `published`, `none`, or the number of new jobs per minute as text (`DAP_PACE`).
        retry_timeout: how long to keep retrying temporary failures, in seconds (`DAP_RETRY_TIMEOUT`).
        read_timeout: after how many seconds without data a connection counts as stalled (`DAP_READ_TIMEOUT`).
        ca_file: certificates (PEM) to trust in addition to the system's.
        sandbox: whether to use the built-in sandbox, which needs neither address nor credentials.
        sandbox_home: folder that stores the sandbox's data clock; without one it is kept in memory.
        sandbox_seed: seed for the sandbox's data.
        sandbox_scale: amount of the sandbox's data; 1 is a small college.
        sandbox_job_seconds: how long the sandbox's jobs take; in the library, no time.
        state_folder: folder through which processes share the rate limits; the user's state folder by default.
        on_event: called with each event, from the event loop's thread.
    """

    base_url: str = _setting("DAP_API_URL", parse=Address, default="https://api-gateway.instructure.com")
    client_id: str | None = _setting("DAP_CLIENT_ID")
    client_secret: str | None = _setting("DAP_CLIENT_SECRET", secret=True)
    client_secret_file: Path | None = _setting("DAP_CLIENT_SECRET_FILE", parse=Path)  # noqa: RUF009, returns a field
    scope: str | None = _setting("DAP_SCOPE")
    pace: str | None = _setting(
        "DAP_PACE", valid=_is_pace, expected="published, none, or the number of new jobs per minute (up to 1000)"
    )
    retry_timeout: float = _number("DAP_RETRY_TIMEOUT", 900.0, alias="DAP_PATIENCE")
    read_timeout: float = _number("DAP_READ_TIMEOUT", 60.0, positive=True)
    ca_file: Path | None = None
    sandbox: bool = False
    sandbox_home: Path | None = _setting("DAP_SANDBOX_HOME", parse=Path)  # noqa: RUF009, returns a field
    sandbox_seed: int = _number("DAP_SANDBOX_SEED", 1, parse=int)
    sandbox_scale: float = _number("DAP_SANDBOX_SCALE", 1.0, positive=True)
    sandbox_job_seconds: float = _number("DAP_SANDBOX_JOB_SECONDS", 2.0)
    state_folder: Path | None = None
    on_event: "Listener" = _ignore

    def __post_init__(self) -> None:
        for name, check in _CLIENT_CHECKS.items():
            arguments.optional(check, name, getattr(self, name))
        if not callable(self.on_event):
            raise arguments.invalid("on_event", self.on_event, "a function of one argument")
        for name in ("client_secret_file", "ca_file", "sandbox_home", "state_folder"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, arguments.folder(name, path))
        if not isinstance(self.client_secret, str | None):  # neither the message nor a local variable shows it
            raise UsageError("client_secret must be a text", hint="Pass a text as client_secret.")
        if self.client_secret is not None:
            object.__setattr__(self, "client_secret", Secret(self.client_secret))
        if self.base_url is not None:
            object.__setattr__(self, "base_url", Address(self.base_url))


ConnectionSettings = NewType("ConnectionSettings", ClientOptions)
"""Client options in which every field has its final value; `connection_settings` makes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSettings:
    """What the command prints, where and how.

    `log_level` is None if it was not set (then it is info). No progress can be drawn on a `dumb` terminal. `log_fields`
    are the fields of every log line in JSON.
    """

    log_level: str | None = None
    log_file: Path | None = None
    log_format: str = LOG_FORMATS[0]
    no_log_to_console: bool = False
    non_interactive: bool = False
    quiet: bool = False
    json: bool = False
    theme: str = _setting(
        "DAP_CONSOLE_THEME",
        default=THEMES[0],
        parse=str.lower,
        valid=THEMES.__contains__,
        expected=", ".join(THEMES[:-1]) + f" or {THEMES[-1]}",
    )
    no_color: bool = _setting("NO_COLOR", default=False, parse=bool)
    log_fields: Mapping[str, Any] = field(default_factory=dict)
    dumb: bool = _setting("TERM", default=False, parse=lambda text: text.lower() in {"dumb", "unknown"})

    @property
    def silent(self) -> bool:
        """Whether success prints nothing: with --quiet, or if neither log lines nor progress are wanted."""
        return self.quiet or (self.no_log_to_console and self.non_interactive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every command needs to know besides its own options. `notices` are to be shown when it connects."""

    connection: ConnectionSettings
    messages: MessageSettings
    notices: tuple[str, ...] = ()


def pick(kind: type[T], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values that are set and are named like a field of the dataclass."""
    return {each.name: values[each.name] for each in fields(kind) if values.get(each.name) is not None}  # type: ignore[arg-type]


def read_settings(given: Mapping[str, Any], environ: Mapping[str, str] = ENVIRON) -> Settings:
    """Make a command's settings from its options, by field name, and the environment.

    Raises:
        UsageError: a value is invalid, or options exclude each other.
    """
    tracking = environ.get("DAP_TRACKING")
    if tracking and tracking.strip().lower() not in _BOOLEANS:
        # dapkit does not track; the official client checks the variable, so a typo is noticed here as well.
        raise UsageError(f"DAP_TRACKING has an invalid value: {tracking!r}", hint="Use true or false.")
    chosen = pick(ClientOptions, given)
    options = ClientOptions(**chosen)
    notices = _check_sandbox(chosen, environ)
    connection = connection_settings(options, environ)
    if options.sandbox and connection.sandbox_home is None:
        state = user_state_folder(environ)
        connection = replace(connection, sandbox_home=state / "sandbox" if state else None)
        if state is None:
            notices.append("The sandbox's clock is not stored, because there is no home folder: see DAP_SANDBOX_HOME")
    messages = _resolved(MessageSettings(**pick(MessageSettings, given)), environ)
    return Settings(connection=connection, messages=messages, notices=tuple(notices))


def _check_sandbox(given: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    """Return notices about --sandbox; raise UsageError if it contradicts other options."""
    if not given.get("sandbox"):
        for name in ("sandbox_scale", "sandbox_seed", "sandbox_job_seconds"):
            if name in given:
                message = f"--{name.replace('_', '-')} requires --sandbox"
                raise UsageError(message, hint="Add --sandbox, or remove the option.")
        return []
    if "base_url" in given:
        message = "--sandbox and --base-url exclude each other"
        raise UsageError(message, hint="Remove one of them; the sandbox has its own address.")
    return ["DAP_API_URL is ignored because of --sandbox"] if environ.get("DAP_API_URL") else []


def connection_settings(options: ClientOptions, environ: Mapping[str, str] = ENVIRON) -> ConnectionSettings:
    """Fill in what the options leave open. Raises UsageError if a value is invalid."""
    client_id = (options.client_id or "").strip() or environ.get("DAP_CLIENT_ID", "").strip()
    secret = Secret((options.client_secret or "").strip())
    file = options.client_secret_file
    # An explicit file takes precedence over a secret in the environment, and so on: at most one of the two is used.
    if not (secret or file):
        secret = Secret(environ.get("DAP_CLIENT_SECRET", "").strip())
        named = environ.get("DAP_CLIENT_SECRET_FILE", "").strip()
        file = Path(named) if named else None
    chosen = replace(
        _resolved(options, environ),
        client_id=client_id or None,
        client_secret=secret or None,
        client_secret_file=None if secret else file,
        state_folder=options.state_folder or user_state_folder(environ),
    )
    return ConnectionSettings(chosen)


def library_settings(options: ClientOptions, environ: Mapping[str, str] = ENVIRON) -> ConnectionSettings:
    """As `connection_settings`, but the variables for --sandbox do not apply, and a sandbox's jobs take no time."""
    seconds: Any = options.sandbox_job_seconds  # None if it was not set
    options = replace(options, sandbox_job_seconds=0.0 if seconds is None else seconds)
    others = Environment({name: value for name, value in environ.items() if not name.startswith("DAP_SANDBOX_")})
    return connection_settings(options, others)


def _resolved(options: T, environ: Mapping[str, str]) -> T:
    values = {}
    for each in fields(options):  # type: ignore[arg-type]
        source: _Variable | None = each.metadata.get("source")
        applies = not each.name.startswith("sandbox_") or getattr(options, "sandbox", False)
        if source is not None and applies:
            values[each.name] = source.value(each.name, getattr(options, each.name), environ)
    return replace(options, **values)  # type: ignore[type-var]


def database_url(given: str | None, environ: Mapping[str, str] = ENVIRON) -> str:
    """Return the URL of the database: as given, from DAP_CONNECTION_STRING, or from the variables DAP_DATABASE_….

    Raises:
        UsageError: there is none.
    """
    if not given:
        for name in (_CONNECTION_STRING, *(name for name in environ if name.startswith("DAP_DATABASE_"))):
            arguments.decoded(name, environ.get(name, ""), shown=False)
    url = given or environ.get(_CONNECTION_STRING) or _postgres_url(environ)
    if not url:
        raise UsageError("No database is specified", hint="Use --to, --connection-string or DAP_CONNECTION_STRING.")
    return Address(url)


def _postgres_url(environ: Mapping[str, str]) -> str | None:
    """Return the PostgreSQL URL that the official library makes from `DAP_DATABASE_*`."""
    host, name = environ.get("DAP_DATABASE_HOST"), environ.get("DAP_DATABASE_NAME")
    if not host or not name:
        return None
    user, password = (quote(environ.get(f"DAP_DATABASE_{part}", ""), safe="") for part in ("USERNAME", "PASSWORD"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    port = f":{environ['DAP_DATABASE_PORT']}" if environ.get("DAP_DATABASE_PORT") else ""
    ssl = f"?ssl={environ['DAP_DATABASE_SSL']}" if environ.get("DAP_DATABASE_SSL") else ""
    return f"postgresql://{login}{host}{port}/{quote(name, safe='')}{ssl}"


def staging_root(given: Path | str | None, environ: Mapping[str, str] = ENVIRON) -> Path:
    """Return the staging folder for downloaded files: as given, from DAP_STAGE, or in the user's cache.

    Raises:
        UsageError: none is given, and the user has no home folder.
    """
    chosen = given or environ.get("DAP_STAGE")
    if chosen:
        return Path(chosen)
    cache = user_cache_folder(environ)
    if cache is None:
        raise UsageError("There is no home folder for the staging folder", hint="Set --stage or DAP_STAGE.")
    return cache / "stage"


def user_state_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return the folder for the user's state on this platform, or None without a home folder; nothing is created."""
    if platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return Path(local) / "dapkit" if local else _in_home("AppData/Local/dapkit")
    if platform == "darwin":
        return _in_home("Library/Application Support/dapkit")
    return _xdg_folder(environ, "XDG_STATE_HOME", ".local/state")


def user_cache_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return the folder for the user's cache on this platform, or None without a home folder; nothing is created."""
    if platform == "win32":
        state = user_state_folder(environ, platform)
        return state / "cache" if state else None
    if platform == "darwin":
        return _in_home("Library/Caches/dapkit")
    return _xdg_folder(environ, "XDG_CACHE_HOME", ".cache")


def _xdg_folder(environ: Mapping[str, str], variable: str, default: str) -> Path | None:
    named = Path(environ.get(variable, ""))
    # The XDG specification says that relative paths are invalid and to be ignored.
    return named / "dapkit" if named.is_absolute() else _in_home(f"{default}/dapkit")


def _in_home(name: str) -> Path | None:
    try:
        if sys.platform != "win32" and not os.environ.get("HOME", "unset").strip():
            # An empty HOME counts as unset; Python would take the root folder for the home folder.
            import pwd  # noqa: PLC0415, Windows lacks it

            return Path(pwd.getpwuid(os.getuid()).pw_dir) / name
        return Path.home() / name
    except (RuntimeError, KeyError):  # a user without a home folder, as in many containers
        return None


def commands_on_path(name: str, environ: Mapping[str, str] = ENVIRON) -> tuple[Path, ...]:
    """Return every executable of this name on PATH, in the order in which a shell finds them."""
    folders = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    suffixes = (".exe", ".cmd", ".bat") if sys.platform == "win32" else ("",)
    candidates = (folder / f"{name}{suffix}" for folder in folders for suffix in suffixes)
    # os.path, not pathlib: it returns False for a folder that may not be read, as a shell finds nothing there.
    found = (path for path in candidates if os.path.isfile(path) and os.access(path, os.X_OK))  # noqa: PTH113
    return tuple(dict.fromkeys(found))
