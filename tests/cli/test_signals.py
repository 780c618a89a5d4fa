"""Stopping cleanly: in this process where no signal is needed, else in a child process."""

import asyncio
import signal
import subprocess
import sys
import textwrap

import pytest

from dapkit.cli.signals import GRACE, run_until_stopped
from dapkit.errors import InterruptedRunError

PROGRAM = """
import asyncio, sys
import time
from dapkit.cli.error_text import error_text
from dapkit.cli.invocation import ErrorFormat
from dapkit.cli import signals
from dapkit.cli.signals import run_until_stopped
from dapkit.errors import InterruptedRunError

signals.GRACE = {grace}

async def work():
    print("working", flush=True)
    try:
        await asyncio.sleep(30)
    finally:
        {ending}
        print("closed", flush=True)

def text(error):
    return error_text(error, ErrorFormat.PLAIN, {{}}, time.time())

def last_words(error):
    print("at once", flush=True)
    return text(error)

try:
    run_until_stopped(work, hint="Run it again.", last_words=last_words)
except InterruptedRunError as error:
    print(text(error), file=sys.stderr)
    sys.exit(error.exit_code)
"""


def start(ending: str, grace: float = GRACE) -> "subprocess.Popen[str]":
    program = textwrap.dedent(PROGRAM).format(ending=ending, grace=grace)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "working\n"
    return child


def test_a_result_is_returned() -> None:
    async def work() -> int:
        return 7

    assert run_until_stopped(work, hint="", last_words=str) == 7


def test_an_error_is_raised() -> None:
    async def work() -> None:
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        run_until_stopped(work, hint="", last_words=str)


def test_a_cancellation_without_a_signal_is_not_an_interruption() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_until_stopped(work, hint="", last_words=str)


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    async def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(5)

    with pytest.raises(InterruptedRunError) as caught:
        run_until_stopped(work, hint="Again.", last_words=str)
    assert caught.value.hint == "Again."
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_work_clean_up(number: signal.Signals) -> None:
    child = start("pass")
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "closed\n")
    assert err == "Error: Stopped\nHint: Run it again.\n"


def test_work_that_does_not_stop_is_ended_after_the_grace_period() -> None:
    assert GRACE < 2
    child = start("await asyncio.sleep(300)")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "at once\n")
    assert err == "Error: Stopped\nHint: Run it again.\n"


def test_a_second_signal_ends_the_process_at_once() -> None:
    child = start("print('closing', flush=True); await asyncio.sleep(300)", grace=200)
    child.send_signal(signal.SIGINT)
    assert child.stdout is not None
    assert child.stdout.readline() == "closing\n"
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "at once\n")
