"""The options that commands share, as decorators, and the classes that lay out their help.

Connection, sandbox and message options are accepted before and after the command's name; after takes precedence. A
command's own help shows only its own options and says where the shared ones are listed.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from dapkit.cli.invocation import Invocation
from dapkit.cli.json_lines import common_fields
from dapkit.cli.parameters import FiniteRange, check_value, pace, stripped, table_names
from dapkit.config.settings import LOG_FORMATS, LOG_LEVELS, THEMES, Settings, read_settings
from dapkit.model import Format
from dapkit.protocol.secrets import Secret

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

HELP_NAMES = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
CONNECTION = "Connection (before or after the command)"
MESSAGES = "Messages (before or after the command)"
SANDBOX = "Sandbox (before or after the command)"
FORMATS = tuple(each.value for each in Format)


class SectionedOption(click.Option):
    """An option listed under its own heading, whose value may not be empty.

    Names in `unlisted` are accepted, but not shown. `path` tells that the value may name a file.
    """

    def __init__(
        self, *args: Any, section: str = "Options", unlisted: str = "", path: bool = False, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.section = section
        self._unlisted = unlisted
        self._path = path or isinstance(self.type, click.Path)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert the value as click does. Raises UsageError if it is empty or not text."""
        # click does not say which of its names was given, so the error has all of them.
        name = " / ".join(each for each in self.opts if each.startswith("--") and each != self._unlisted)
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, str):
                check_value(name, each, path=self._path, shown=self.type is click.STRING)
        return super().type_cast_value(ctx, value)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the text, as click does."""
        record = super().get_help_record(ctx)
        return (record[0].replace(f", {self._unlisted}", ""), record[1]) if record and self._unlisted else record


class SectionedCommand(click.Command):
    """A command whose help shows its own options, and says where the shared ones are listed."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, and the names of the shared sections."""
        sections = help_sections(self, ctx)
        with formatter.section("Options"):
            formatter.write_dl(sections.pop("Options"))
        shared = [title.partition(" ")[0].lower() for title in sections]
        if shared:
            names = " and ".join([", ".join(shared[:-1]), shared[-1]] if len(shared) > 1 else shared)
            formatter.write_paragraph()
            formatter.write_text(f"Options for {names}: see dap --help.")


def help_sections(command: click.Command, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """Return the names and texts of a command's options by section; its own options come first."""
    sections: dict[str, list[tuple[str, str]]] = {"Options": []}
    for parameter in command.get_params(ctx):
        # Newer versions of click also have a record of each argument, which the line with the usage shows already.
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record is not None:
            sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
    return sections


def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Return the decorator of one option; `section` names its heading."""
    return click.option(*names, cls=SectionedOption, **attributes)


def flag(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Return the decorator of one on/off option that is off by default."""
    return option(*names, is_flag=True, default=False, **attributes)


def stack(*decorators: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds several options, in this order."""

    def apply(function: Decorated) -> Decorated:
        # Decorators apply from the last to the first, as if they were written one below the other.
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


# Whether a file exists is checked where it is read: that also covers files named by a variable.
_FILE = click.Path(path_type=Path)

connection_options = stack(
    option(
        "--base-url",
        metavar="URL",
        section=CONNECTION,
        help="URL of the service [DAP_API_URL; default: https://api-gateway.instructure.com].",
    ),
    option("--client-id", metavar="ID", section=CONNECTION, help="Client id [DAP_CLIENT_ID]."),
    option(
        "--client-secret",
        type=Secret,
        metavar="SECRET",
        section=CONNECTION,
        help="Client secret [DAP_CLIENT_SECRET]. Other users of the machine can see it on the command line: "
        "prefer the variable or a file.",
    ),
    option(
        "--client-secret-file",
        type=_FILE,
        metavar="FILE",
        section=CONNECTION,
        help="File that contains the client secret [DAP_CLIENT_SECRET_FILE].",
    ),
    option(
        "--scope",
        metavar="SCOPE",
        section=CONNECTION,
        help="UUID of the root account, if the credentials give access to several [DAP_SCOPE].",
    ),
    option(
        "--pace",
        callback=pace,
        metavar="published|none|N",
        section=CONNECTION,
        help="Rate limits: the published ones, none, or limits in proportion to N new jobs per minute "
        "[DAP_PACE; default: published, with 5 new jobs per minute].",
    ),
    option(
        "--retry-timeout",
        "--patience",  # the former name
        type=FiniteRange(min=0),
        metavar="SECONDS",
        section=CONNECTION,
        unlisted="--patience",
        help="How long to keep retrying temporary failures: failed jobs, outages, server errors "
        "[DAP_RETRY_TIMEOUT; default: 900].",
    ),
    option(
        "--read-timeout",
        type=FiniteRange(min=0, min_open=True),
        metavar="SECONDS",
        section=CONNECTION,
        help="Seconds without data before a connection counts as stalled [DAP_READ_TIMEOUT; default: 60].",
    ),
    option(
        "--ca-file",
        type=_FILE,
        metavar="FILE",
        section=CONNECTION,
        help="Certificates (PEM) to trust in addition to the system's.",
    ),
)

sandbox_options = stack(
    flag(
        "--sandbox",
        section=SANDBOX,
        help="Use the built-in sandbox with synthetic data; needs no credentials.",
    ),
    option(
        "--sandbox-scale",
        type=FiniteRange(min=0, min_open=True),
        metavar="X",
        section=SANDBOX,
        help="Amount of data: 1 is a small college [DAP_SANDBOX_SCALE; default: 1].",
    ),
    option(
        "--sandbox-seed",
        type=click.IntRange(min=0),
        metavar="N",
        section=SANDBOX,
        help="Seed for the synthetic data [DAP_SANDBOX_SEED; default: 1].",
    ),
    option(
        "--sandbox-job-seconds",
        type=FiniteRange(min=0),
        metavar="SECONDS",
        section=SANDBOX,
        help="Duration of the sandbox's jobs [DAP_SANDBOX_JOB_SECONDS; default: 2].",
    ),
)

message_options = stack(
    option(
        "--loglevel",
        "log_level",
        type=click.Choice(LOG_LEVELS, case_sensitive=False),
        section=MESSAGES,
        help="Minimum log level [default: info].",
    ),
    option(
        "--logfile",
        "log_file",
        type=_FILE,
        metavar="FILE",
        section=MESSAGES,
        help="Also append log lines to this file.",
    ),
    option(
        "--logformat",
        "log_format",
        type=click.Choice(LOG_FORMATS, case_sensitive=False),
        section=MESSAGES,
        help="Log lines as text or as one JSON object per line [default: plain].",
    ),
    flag("--no-log-to-console", section=MESSAGES, help="Write log lines only to the log file, not to the console."),
    flag("--quiet", section=MESSAGES, help="Show only warnings and errors: no progress, no summary."),
    flag("--non-interactive", section=MESSAGES, help="Show log lines instead of live progress; do not ask questions."),
    option(
        "--console-theme",
        "theme",
        type=click.Choice(THEMES, case_sensitive=False),
        section=MESSAGES,
        help="Colours of the live progress [DAP_CONSOLE_THEME; default: dark].",
    ),
    flag(
        "--no-tracking",
        section=MESSAGES,
        help="Accepted for compatibility with the official client; dapkit never tracks [DAP_TRACKING].",
    ),
)

global_options = stack(connection_options, sandbox_options, message_options)

json_option = flag("--json", help="Print the result as JSON on stdout, and an error as JSON on stderr.")

namespace_option = option(
    "--namespace",
    required=True,
    callback=stripped,
    help="Namespace to query, such as canvas or canvas_logs.",
)

table_options = stack(
    namespace_option,
    option(
        "--table",
        "tables",
        required=True,
        multiple=True,
        metavar="NAMES",
        callback=table_names,
        help="Tables: names separated by commas, patterns such as 'course*', or all.",
    ),
    option("--exclude", multiple=True, metavar="NAMES", callback=table_names, help="Tables or patterns to leave out."),
)

output_option = option(
    "--output-directory",
    "output",
    type=click.Path(path_type=Path),
    default=Path("downloads"),
    show_default=True,
    metavar="DIR",
    help="Folder to write to; it is created if necessary.",
)

concurrency_option = option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    metavar="N",
    help="How many files to download at once.",
)

wait_option = flag("--wait", help="If the same work is already in progress, wait for it instead of failing.")

flat_detail_options = stack(
    option(
        "--nested",
        type=click.Choice(("struct", "json"), case_sensitive=False),
        help="Arrays and objects as lists and structs, or as JSON text [default: struct].",
    ),
    flag("--ts", "with_ts", help="Add the column _ts, when a row last changed; changes always have it."),
    flag("--keep-raw", help="Keep the service's raw files too."),
    option(
        "--memory-limit",
        metavar="SIZE",
        help="How much memory DuckDB may use; what needs more goes to the disk [default: 1GB].",
    ),
)

flat_options = stack(
    option(
        "--flat",
        is_flag=False,
        flag_value="parquet",
        type=click.Choice(("parquet", "csv", "jsonl"), case_sensitive=False),
        help="Write one typed file for each table, DIR/NAMESPACE/TABLE.parquet, instead of the service's raw files. "
        "--format remains the format in which the data is downloaded.",
    ),
    flat_detail_options,
)

export_options = stack(
    table_options,
    option(
        "--format",
        type=click.Choice(FORMATS, case_sensitive=False),
        default="jsonl",
        show_default=True,
        help="File format.",
    ),
    option(
        "--mode",
        type=click.Choice(("expanded", "condensed"), case_sensitive=False),
        help="Nested fields as columns, or each as one JSON column [the service's default: expanded].",
    ),
    output_option,
    flat_options,
    concurrency_option,
    flag("--new", help="Start a new run even if an interrupted one could be resumed."),
    wait_option,
    flag("--dry-run", help="Show what would be requested; request only the table list."),
    json_option,
)


def settings_of(context: click.Context) -> Settings:
    """Return the settings of a command: its own options, then those before its name, then the environment."""
    settings = read_settings(merged(context))
    call = context.find_object(Invocation)
    if call is None:
        return settings
    call.log_fields = common_fields(
        call.run_id,
        namespace=context.params.get("namespace"),
        client_id=None if settings.connection.sandbox else settings.connection.client_id,
    )
    return replace(settings, messages=replace(settings.messages, log_fields=call.log_fields))


def merged(context: click.Context) -> dict[str, Any]:
    """Return a command's options by parameter name, including those before its name."""
    before = context.find_root().params
    # A flag that is not given is False, which must not hide the same flag before the command's name.
    after = {name: value for name, value in context.params.items() if value is not None and value is not False}
    return {**before, **after}
