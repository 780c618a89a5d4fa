"""`dap doctor`: what is wrong, and what to do."""

from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.doctor_checks import examine
from dapkit.cli.doctor_findings import Finding, Verdict
from dapkit.cli.formatting import names
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    global_options,
    json_option,
    output_option,
    settings_of,
)
from dapkit.cli.settings import Settings
from dapkit.cli.signals import run_until_stopped
from dapkit.errors import DiagnosisError

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
    """Find out what is wrong with credentials, network or disk.

    Looks at credentials, proxy, name, certificate, login, clock, the service's answer, the output folder and
    the installation; says of each what to do. Nothing is changed.
    """
    settings = settings_of(context)
    with Console(settings.messages) as console:
        findings = run_until_stopped(
            lambda: _examine(settings, given["output_directory"], console),
            farewell="Run the command again.",
            at_once=console.still,
        )
        bad = [finding.check for finding in findings if finding.verdict is Verdict.FAIL]
        if settings.messages.json:
            console.json_result({"healthy": not bad, "findings": [finding.as_dict() for finding in findings]})
    if bad:
        message = f"Not well: {names(bad)}."
        raise DiagnosisError(message, hint="Do what stands beside each, then run dap doctor again.")


async def _examine(settings: Settings, folder: Path, console: Console) -> list[Finding]:
    findings = []
    async for finding in examine(settings.connection, folder, console.on_event):
        findings.append(finding)
        if not settings.messages.json:
            for line in finding.lines():
                console.result(line)
    return findings
