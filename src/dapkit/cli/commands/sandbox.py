"""`dap sandbox`: the service in miniature, for programs that are not this one."""

import asyncio
import sys
from datetime import UTC
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import HELP_NAMES, FiniteRange, SectionedCommand, flag, message_options, option, settings_of
from dapkit.cli.signals import run_until_stopped
from dapkit.cli.timestamps import parse_moment
from dapkit.errors import InterruptedRunError, UsageError
from dapkit.sandbox.data.dataset import PART_ROWS
from dapkit.sandbox.faults.rules import ENDPOINTS, KINDS
from dapkit.sandbox.service.checksums import ALGORITHMS, NONE
from dapkit.sandbox.service.server import Sandbox, SandboxOptions

_KINDS = "\n".join(f"  {kind:<22} {facts.effect}" for kind, facts in KINDS.items())
EPILOG = f"""\b
Examples:
  dap sandbox
  dap sandbox --port 8080 --scale 0.1 --job-seconds 0
  dap sandbox --fault cut:20% --fault 503:10%@job --budgets
\b
It prints what to paste into another shell, then serves until Ctrl-C. On loopback only.
\b
A fault is KIND[:HOW]...[@ENDPOINT,...]. HOW may be a probability (20%), a time (5s), at most so
often (x3), sticky (of failed-job), or a table; endpoints are {", ".join(ENDPOINTS)}.
Kinds:
{_KINDS}
"""
_SECONDS = FiniteRange(min=0)
_WHOLE = click.IntRange(min=1)


@click.command("sandbox", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port [default: a free one].")
@option(
    "--scale",
    type=FiniteRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="X",
    help="Size of the data: 1 is a small college.",
)
@option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Which college: the same seed gives the same rows.",
)
@option("--job-seconds", type=_SECONDS, default=2.0, show_default=True, metavar="S", help="How long a job takes.")
@option(
    "--token-seconds",
    type=_WHOLE,
    default=3600,
    show_default=True,
    metavar="S",
    help="How long a token lives.",
)
@option(
    "--url-seconds",
    type=_WHOLE,
    default=900,
    show_default=True,
    metavar="S",
    help="How long a signed URL lives.",
)
@option(
    "--job-life-seconds",
    type=_WHOLE,
    default=86_400,
    show_default=True,
    metavar="S",
    help="How long a job and its objects live.",
)
@option(
    "--part-rows",
    type=_WHOLE,
    default=PART_ROWS,
    show_default=True,
    metavar="N",
    help="Most rows of one object.",
)
@option(
    "--offer-scope",
    multiple=True,
    default=("sandbox",),
    show_default=True,
    metavar="NAME",
    help="A scope that the credentials reach. May be repeated; a caller must then name one.",
)
@option(
    "--data-time",
    metavar="TIME",
    help="Where the data clock starts (ISO 8601) [default: the latest refresh].",
)
@flag("--budgets", help="Keep the published request budgets and answer 429 beyond them.")
@option(
    "--checksum",
    type=click.Choice([*ALGORITHMS, NONE]),
    default=ALGORITHMS[0],
    show_default=True,
    help="The checksum to send with objects.",
)
@flag("--no-checksums", help="Send no checksum headers with objects: --checksum none.")
@flag("--no-ranges", help="Ignore Range requests.")
@option(
    "--fault",
    multiple=True,
    metavar="FAULT",
    help="Misbehave, such as cut:20% or 500:10%@job; see below. May be repeated.",
)
@message_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Serve the API in miniature, with synthetic data of real shape.

    Log in, tables, schemas, jobs, objects: for tests and demonstrations without credentials.
    """
    settings = settings_of(context)
    options = read_sandbox_options(given)
    with Console(settings.messages) as console:
        try:
            run_until_stopped(lambda: _serve(options, console), farewell="Bye.", at_once=console.still)
        except InterruptedRunError:
            console.tell(["The sandbox is gone."])


def read_sandbox_options(given: dict[str, Any]) -> SandboxOptions:
    """Make the sandbox's options from the command's; raises UsageError when --data-time is no time."""
    data_time = None
    if given["data_time"] is not None:
        moment = parse_moment(given["data_time"], zone=UTC)
        if moment is None:
            message = f"--data-time {given['data_time']!r} is no time."
            raise UsageError(message, hint="Use ISO 8601, such as 2026-09-01T00:00:00Z.")
        data_time = moment.utc
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
        sys.stdout.flush()
        console.tell(["Serving on loopback until Ctrl-C."])
        await asyncio.Event().wait()
