"""`dap doctor`: checks that find the cause of problems."""

from contextlib import aclosing
from typing import Any

import click

from dapkit.api.doctor import DoctorResult, examine
from dapkit.cli.console import Console
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    global_options,
    json_option,
    output_option,
    settings_of,
)
from dapkit.cli.run_command import RUN_AGAIN
from dapkit.cli.signals import run_until_stopped

EPILOG = """\b
Examples:
  dap doctor
  dap doctor --output-directory /data/canvas --json
"""


@click.command("doctor", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@output_option
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Check credentials, network, clock and disk.

    Checks the credentials, proxy, host name, certificate, login, clock, the service's response, the output folder
    and the installation, and shows how to fix each problem. Changes nothing.
    """
    settings = settings_of(context)
    with Console(settings.messages) as console:

        async def show() -> DoctorResult:
            findings = []
            async with aclosing(examine(settings.connection, given["output"], console.on_event)) as checks:
                async for finding in checks:
                    findings.append(finding)
                    if not settings.messages.json:
                        for line in finding.lines():
                            console.result(line)
            return DoctorResult(findings=tuple(findings))

        for notice in settings.notices:
            console.notice(notice)
        result = run_until_stopped(show, hint=RUN_AGAIN, last_words=console.last_words)
        if settings.messages.json:
            findings = [finding.as_dict() for finding in result.findings]
            console.json_result({"healthy": result.healthy, "findings": findings})
    result.raise_for_failed()
