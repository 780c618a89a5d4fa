"""`dap sandbox`: the sandbox as a server, for any client."""

import asyncio
import sys
import textwrap
from datetime import UTC
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import HELP_NAMES, SectionedCommand, flag, message_options, option, settings_of
from dapkit.cli.parameters import FiniteRange
from dapkit.cli.signals import run_until_stopped
from dapkit.errors import InterruptedRunError, UsageError
from dapkit.export.times import TIME_HINT, impossible_part, parse_time
from dapkit.sandbox.data.dataset import PART_ROWS
from dapkit.sandbox.data.oddities import ODDITIES
from dapkit.sandbox.faults import ENDPOINTS, KINDS
from dapkit.sandbox.service.checksums import ALGORITHMS, NONE
from dapkit.sandbox.service.server import Sandbox
from dapkit.sandbox.service.state import SandboxOptions

_KINDS = "\n".join(f"  {kind:<22} {facts.effect}" for kind, facts in KINDS.items() if kind not in ODDITIES)
_ODDITIES = textwrap.fill(", ".join(ODDITIES), 76, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
EPILOG = f"""\b
Examples:
  dap sandbox
  dap sandbox --port 8080 --scale 0.1 --job-seconds 0
  dap sandbox --fault cut:20% --fault 503:10%@job --budgets
\b
It prints the variables to paste into another shell, and serves on the
loopback interface until Ctrl-C.
\b
A fault has the form KIND[:HOW]...[@ENDPOINT,...]. HOW is a probability (20%),
a duration (5s), a maximum number of times (x3), sticky (for failed-job), or a
table pattern. Endpoints: {", ".join(ENDPOINTS)}.
Kinds:
{_KINDS}
Kinds that send malformed files, which the documentation explains:
{_ODDITIES}
"""
_SECONDS = FiniteRange(min=0)
_POSITIVE = click.IntRange(min=1)


@click.command("sandbox", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port [default: any free port].")
@option(
    "--scale",
    type=FiniteRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="X",
    help="Amount of data: 1 is a small college.",
)
@option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Seed for the synthetic data.",
)
@option("--job-seconds", type=_SECONDS, default=2.0, show_default=True, metavar="S", help="Duration of a job.")
@option(
    "--token-seconds",
    type=_POSITIVE,
    default=3600,
    show_default=True,
    metavar="S",
    help="Lifetime of a token.",
)
@option(
    "--url-seconds",
    type=_POSITIVE,
    default=900,
    show_default=True,
    metavar="S",
    help="Lifetime of a signed URL.",
)
@option(
    "--job-life-seconds",
    type=_POSITIVE,
    default=86_400,
    show_default=True,
    metavar="S",
    help="Lifetime of a job and its objects.",
)
@option(
    "--part-rows",
    type=_POSITIVE,
    default=PART_ROWS,
    show_default=True,
    metavar="N",
    help="Maximum rows per object.",
)
@option(
    "--offer-scope",
    multiple=True,
    default=("sandbox",),
    show_default=True,
    metavar="NAME",
    help="Scope that the credentials give access to. Can be repeated; clients must then select one.",
)
@option(
    "--data-time",
    metavar="TIME",
    help="Initial time of the data clock (ISO 8601) [default: the latest refresh].",
)
@flag("--budgets", help="Enforce the published rate limits with status 429.")
@option(
    "--checksum",
    type=click.Choice([*ALGORITHMS, NONE]),
    default=ALGORITHMS[0],
    show_default=True,
    help="Checksum to send with objects.",
)
@flag("--no-checksums", help="Send no checksums, like --checksum none.")
@flag("--no-ranges", help="Ignore Range requests.")
@flag("--qualified-errors", help="Send error types as qualified class names (com.example.OutOfRangeError).")
@option(
    "--fault",
    multiple=True,
    metavar="FAULT",
    help="Simulate a failure, such as cut:20% or 500:10%@job; see below. Can be repeated.",
)
@message_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Run the sandbox as a server.

    It serves the complete API (login, tables, schemas, jobs, objects) with realistic synthetic data, for tests and
    demonstrations without credentials.
    """
    settings = settings_of(context)
    options = read_sandbox_options(given)
    with Console(settings.messages) as console:
        try:
            run_until_stopped(
                lambda: _serve(options, console), hint="The sandbox is stopped.", last_words=console.last_words
            )
        except InterruptedRunError:
            console.print(["Sandbox stopped."])


def read_sandbox_options(given: dict[str, Any]) -> SandboxOptions:
    """Make the sandbox's options from the command's. Raises UsageError if --data-time is invalid."""
    data_time = None
    if given["data_time"] is not None:
        time = parse_time(given["data_time"], zone=UTC)
        if time is None:
            problem = impossible_part(given["data_time"])
            message = f"Invalid time {given['data_time']!r} for --data-time{problem and f': {problem}'}"
            raise UsageError(message, hint=TIME_HINT)
        data_time = time.utc
    return SandboxOptions(
        seed=given["seed"],
        scale=given["scale"],
        port=given["port"],
        job_seconds=given["job_seconds"],
        url_seconds=given["url_seconds"],
        token_seconds=given["token_seconds"],
        job_life_seconds=given["job_life_seconds"],
        part_rows=given["part_rows"],
        scopes=given["offer_scope"],
        checksum=NONE if given["no_checksums"] else given["checksum"],
        ranges=not given["no_ranges"],
        budgets=given["budgets"],
        qualified_errors=given["qualified_errors"],
        faults=given["fault"],
        data_time=data_time,
    )


async def _serve(options: SandboxOptions, console: Console) -> None:
    async with Sandbox(options) as sandbox:
        for name, value in (
            ("DAP_API_URL", sandbox.base_url),
            ("DAP_CLIENT_ID", sandbox.client_id),
            ("DAP_CLIENT_SECRET", sandbox.client_secret),
            ("DAP_PACE", "none"),
        ):
            console.result(f"export {name}='{value}'")
        sys.stdout.flush()  # a program that starts the sandbox waits for these lines
        console.print(["The sandbox is running. Press Ctrl-C to stop it."])
        await asyncio.Event().wait()
