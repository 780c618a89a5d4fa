"""`dap doctor`: checks that find the cause of problems."""

from contextlib import aclosing
from typing import Any

import click

from dapkit.api.doctor import Finding, Verdict, examine
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
from dapkit.errors import DiagnosisError
from dapkit.formatting import count, names

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

        async def show() -> list[Finding]:
            findings = []
            async with aclosing(examine(settings.connection, given["output"], console.on_event)) as checks:
                async for finding in checks:
                    findings.append(finding)
                    if not settings.messages.json:
                        for line in finding.lines():
                            console.result(line)
            return findings

        for notice in settings.notices:
            console.notice(notice)
        findings = run_until_stopped(show, hint=RUN_AGAIN, last_words=console.last_words)
        failed = [finding.check for finding in findings if finding.verdict is Verdict.FAIL]
        if settings.messages.json:
            console.json_result({"healthy": not failed, "findings": [finding.as_dict() for finding in findings]})
    if failed:
        message = f"{count(len(failed), 'check')} failed: {names(failed)}"
        raise DiagnosisError(message, hint="Follow the hint next to each check, then run dap doctor again.")
