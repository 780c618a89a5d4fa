"""The options that commands share, as decorators, and the classes that lay out their help.

Connection and message options are accepted before and after the command's name; after wins.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dapkit.cli.settings import LOG_FORMATS, LOG_LEVELS, THEMES, Settings, read_settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]

HELP_NAMES = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
CONNECTION = "Connection (before or after the command)"
MESSAGES = "Messages (before or after the command)"
SANDBOX = "Sandbox (before or after the command)"
FORMATS = ("jsonl", "csv", "tsv", "parquet")


class SectionedOption(click.Option):
    """An option that is listed under a heading of its own in the help."""

    def __init__(self, *args: Any, section: str = "Options", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


class FiniteRange(click.FloatRange):
    """A range of numbers that are numbers: without nan, which no comparison rules out, and infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; a UsageError says what is wrong with it."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class SectionedCommand(click.Command):
    """A command whose help lists options by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one block a section, its own options first."""
        write_sections(self, ctx, formatter)


def write_sections(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the options of a command to the formatter, one block a section in order of appearance."""
    sections: dict[str, list[tuple[str, str]]] = {"Options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Return the decorator of one option; `section` names its heading."""
    return click.option(*names, cls=SectionedOption, **attributes)


def flag(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Return the decorator of one on/off option that is off unless given."""
    return option(*names, is_flag=True, default=False, **attributes)


def _stack(*decorators: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    def apply(function: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


_FILE = click.Path(path_type=Path)

connection_options = _stack(
    option(
        "--base-url",
        metavar="URL",
        section=CONNECTION,
        help="Address of the service [DAP_API_URL; default: https://api-gateway.instructure.com].",
    ),
    option("--client-id", metavar="ID", section=CONNECTION, help="Client id [DAP_CLIENT_ID]."),
    option(
        "--client-secret",
        metavar="SECRET",
        section=CONNECTION,
        help="Client secret [DAP_CLIENT_SECRET]. Others on the machine can see it while the command runs: "
        "prefer the variable or a file.",
    ),
    option(
        "--client-secret-file",
        type=_FILE,
        metavar="FILE",
        section=CONNECTION,
        help="File that holds the client secret [DAP_CLIENT_SECRET_FILE].",
    ),
    option(
        "--scope",
        metavar="SCOPE",
        section=CONNECTION,
        help="Root account to ask for, when the credentials reach several [DAP_SCOPE].",
    ),
    option(
        "--pace",
        metavar="published|none|N",
        section=CONNECTION,
        help="Keep the published request budgets, none, or budgets in proportion to N new jobs a minute "
        "[DAP_PACE; default: published, which is 5].",
    ),
    option(
        "--retry-timeout",
        type=FiniteRange(min=0),
        metavar="SECONDS",
        section=CONNECTION,
        help="How long failures that may pass are borne: failed jobs, outages of service and database, server errors "
        "[DAP_RETRY_TIMEOUT; default: 900].",
    ),
    option(
        "--read-timeout",
        type=FiniteRange(min=0, min_open=True),
        metavar="SECONDS",
        section=CONNECTION,
        help="How long nothing may come before a connection counts as stalled [DAP_READ_TIMEOUT; default: 60].",
    ),
    option(
        "--ca-file",
        type=_FILE,
        metavar="FILE",
        section=CONNECTION,
        help="Certificates (PEM) to trust besides the system's.",
    ),
)

sandbox_options = _stack(
    flag(
        "--sandbox",
        section=SANDBOX,
        help="Ask a sandbox inside this command, with synthetic data; needs no credentials.",
    ),
    option(
        "--sandbox-scale",
        type=FiniteRange(min=0, min_open=True),
        metavar="X",
        section=SANDBOX,
        help="Size of its data: 1 is a small college [DAP_SANDBOX_SCALE; default: 1].",
    ),
    option(
        "--sandbox-seed",
        type=click.IntRange(min=0),
        metavar="N",
        section=SANDBOX,
        help="Which of its colleges: the same seed gives the same rows [DAP_SANDBOX_SEED; default: 1].",
    ),
    option(
        "--sandbox-job-seconds",
        type=FiniteRange(min=0),
        metavar="SECONDS",
        section=SANDBOX,
        help="How long its jobs take [DAP_SANDBOX_JOB_SECONDS; default: 2].",
    ),
)

message_options = _stack(
    option(
        "--loglevel",
        type=click.Choice(LOG_LEVELS, case_sensitive=False),
        section=MESSAGES,
        help="Least level of messages to tell [default: info].",
    ),
    option(
        "--logfile",
        type=_FILE,
        metavar="FILE",
        section=MESSAGES,
        help="Append messages to this file as well.",
    ),
    option(
        "--logformat",
        type=click.Choice(LOG_FORMATS, case_sensitive=False),
        section=MESSAGES,
        help="Messages as lines for people or as one JSON object a line [default: plain].",
    ),
    flag("--no-log-to-console", section=MESSAGES, help="No log lines on the console, only in the log file."),
    flag("--quiet", section=MESSAGES, help="Tell only warnings and errors: no progress, no summary."),
    flag("--non-interactive", section=MESSAGES, help="Plain log lines instead of live progress."),
    option(
        "--console-theme",
        type=click.Choice(THEMES, case_sensitive=False),
        section=MESSAGES,
        help="Colours of the live progress [DAP_CONSOLE_THEME; default: dark].",
    ),
    flag(
        "--no-tracking",
        section=MESSAGES,
        help="Accepted for scripts of the official command; dapkit never tracks [DAP_TRACKING].",
    ),
)

global_options = _stack(connection_options, sandbox_options, message_options)

json_option = flag("--json", help="Print the result as one JSON object on stdout, an error as one on stderr.")


def _not_empty(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("it is empty.")
    return value.strip()


namespace_option = option(
    "--namespace",
    required=True,
    callback=_not_empty,
    help="Namespace to ask, such as canvas, canvas_logs, catalog, new_quizzes.",
)

table_options = _stack(
    namespace_option,
    option(
        "--table",
        required=True,
        multiple=True,
        metavar="NAMES",
        help="Table to fetch: one name, several with commas between, patterns such as 'course*', or all.",
    ),
    option("--exclude", multiple=True, metavar="NAMES", help="Tables or patterns to leave out of these."),
)

output_option = option(
    "--output-directory",
    type=click.Path(path_type=Path),
    default=Path("downloads"),
    show_default=True,
    metavar="DIR",
    help="Folder to write into; it is made when it does not exist.",
)

wait_option = flag("--wait", help="When the same run is going on already, wait for it instead of ending with an error.")

export_options = _stack(
    table_options,
    option(
        "--format",
        type=click.Choice(FORMATS, case_sensitive=False),
        default="jsonl",
        show_default=True,
        help="Format of the files.",
    ),
    option(
        "--mode",
        type=click.Choice(("expanded", "condensed"), case_sensitive=False),
        help="Nested fields as columns, or each as one JSON column [the service's default: expanded].",
    ),
    output_option,
    option(
        "--concurrency",
        type=click.IntRange(1, 64),
        default=8,
        show_default=True,
        metavar="N",
        help="How many files to fetch at once.",
    ),
    flag("--new", help="Begin a new run even where an interrupted one could be continued."),
    wait_option,
    flag("--dry-run", help="Say what would be asked for, and ask for nothing but the list of tables."),
    json_option,
)


def settings_of(context: click.Context) -> Settings:
    """Return the settings of a command: its own options over those before its name over the environment."""
    return read_settings(merged(context))


def merged(context: click.Context) -> dict[str, Any]:
    """Return the options of a command by parameter name, filled up with those before its name."""
    before = context.find_root().params
    after = {name: value for name, value in context.params.items() if value is not None and value is not False}
    return {**before, **after}
