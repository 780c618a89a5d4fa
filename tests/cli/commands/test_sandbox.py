"""`dap sandbox`: its options in this process, the server in another."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.request import ProxyHandler, build_opener

import click
import pytest

from dapkit.cli.commands.sandbox import command, read_sandbox_options
from dapkit.errors import UsageError
from dapkit.sandbox.service.state import SandboxOptions

Child = subprocess.Popen[str]


def options_of(*arguments: str) -> dict[str, Any]:
    return command.make_context("sandbox", list(arguments), resilient_parsing=False).params


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Start sandboxes, and end them."""
    children: list[Child] = []

    def begin(*arguments: str) -> Child:
        program = "from dapkit.cli.main import run; run()"
        child = subprocess.Popen(
            [sys.executable, "-c", program, "sandbox", "--scale", "0.05", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


def test_options_are_passed_to_the_sandbox() -> None:
    given = options_of(
        *("--port", "8080", "--scale", "0.5", "--seed", "7", "--job-seconds", "0", "--token-seconds", "60"),
        *("--url-seconds", "5", "--budgets", "--no-checksums", "--no-ranges", "--data-time", "2026-01-01"),
        *("--fault", "cut:20%", "--fault", "500:10%@job", "--offer-scope", "north", "--offer-scope", "south"),
        *("--part-rows", "100", "--job-life-seconds", "90"),
    )
    options = read_sandbox_options(given)
    assert (options.port, options.scale, options.seed, options.job_seconds) == (8080, 0.5, 7, 0)
    assert (options.token_seconds, options.url_seconds) == (60, 5)
    assert options.budgets
    assert options.checksum == "none"
    assert not options.ranges
    assert options.data_time == datetime(2026, 1, 1, tzinfo=UTC)
    assert options.faults == ("cut:20%", "500:10%@job")
    assert options.scopes == ("north", "south")
    assert (options.part_rows, options.job_life_seconds) == (100, 90)
    assert not options.embedded


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "sha256", "none"])
def test_the_checksum_can_be_chosen(algorithm: str) -> None:
    assert read_sandbox_options(options_of("--checksum", algorithm)).checksum == algorithm


def test_the_defaults_are_those_of_the_sandbox() -> None:
    assert read_sandbox_options(options_of()) == SandboxOptions()


def test_an_invalid_data_time_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--data-time"):
        read_sandbox_options(options_of("--data-time", "soon"))


@pytest.mark.parametrize(
    "arguments", [["--port", "70000"], ["--scale", "0"], ["--scale", "nan"], ["--seed", "-1"], ["--job-seconds", "inf"]]
)
def test_numbers_outside_their_range_are_usage_errors(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        options_of(*arguments)


def test_an_invalid_fault_is_a_usage_error(dap: Callable[..., Any]) -> None:
    outcome = dap("sandbox", "--fault", "nonsense")
    assert outcome.code == 2
    assert "nonsense" in outcome.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_prints_variables_serves_and_stops(number: signal.Signals, start: Callable[..., Child]) -> None:
    child = start()
    assert child.stdout is not None
    lines = [child.stdout.readline().strip() for _ in range(4)]
    assert [re.sub(r"'.*'", "''", line) for line in lines] == [
        "export DAP_API_URL=''",
        "export DAP_CLIENT_ID=''",
        "export DAP_CLIENT_SECRET=''",
        "export DAP_PACE=''",
    ]
    base_url = lines[0].split("'")[1]
    with build_opener(ProxyHandler({})).open(f"{base_url}/_sandbox/state", timeout=10) as answer:
        assert answer.status == 200
    child.send_signal(number)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_a_port_in_use_is_reported(start: Callable[..., Child]) -> None:
    first = start()
    assert first.stdout is not None
    port = first.stdout.readline().rstrip("'\n").rpartition(":")[2]
    second = start("--port", port)
    out, err = second.communicate(timeout=20)
    assert (second.returncode, out) == (2, "")
    assert port in err
    assert os.linesep in err
