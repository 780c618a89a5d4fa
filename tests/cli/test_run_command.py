"""What commands that use the service have in common."""

import asyncio
import sys
from pathlib import Path

import pytest

from dapkit.cli import run_command
from dapkit.cli.console import Console
from dapkit.client.session import Session
from dapkit.config.settings import read_settings


def test_a_run_without_events_reports_regularly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_command, "HEARTBEAT", 0.001)
    settings = read_settings({"sandbox": True, "sandbox_home": tmp_path}, {})

    async def wait_for_two_lines(_session: Session) -> str:
        lines = ""
        while lines.count("The run is starting") < 2:
            await asyncio.sleep(0.001)
            sys.stderr.flush()
            lines += capsys.readouterr().err
        return lines

    with Console(settings.messages) as console:
        assert "info" in run_command.run_connected(settings, console, wait_for_two_lines)
