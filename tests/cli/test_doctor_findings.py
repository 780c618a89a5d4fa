"""What the doctor makes of what it found."""

from pathlib import Path

import pytest

from dapkit.cli.doctor_findings import (
    Finding,
    Verdict,
    failed,
    judge_installation,
    judge_proxy,
    judge_skew,
    judge_space,
    without_credentials,
)
from dapkit.errors import RejectedCredentialsError


@pytest.mark.parametrize(
    ("skew", "verdict", "word"),
    [
        (0.0, Verdict.OK, "behind"),
        (-59.0, Verdict.OK, "behind"),
        (61.0, Verdict.WARN, "ahead of"),
        (-299.0, Verdict.WARN, "behind"),
        (301.0, Verdict.FAIL, "ahead of"),
        (None, Verdict.SKIP, "no date"),
    ],
)
def test_clocks_may_differ_a_little(skew: float | None, verdict: Verdict, word: str) -> None:
    finding = judge_skew(skew)
    assert finding.verdict is verdict
    assert word in finding.message
    assert bool(finding.advice) == (verdict in (Verdict.WARN, Verdict.FAIL))


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(50_000_000_000, Verdict.OK), (5_000_000_000, Verdict.WARN), (50_000_000, Verdict.FAIL)],
)
def test_space_is_judged_by_what_a_snapshot_takes(free: int, verdict: Verdict) -> None:
    assert judge_space(free, Path("out")).verdict is verdict


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128/"),
        ("user:p@ss@proxy:3128", "proxy:3128"),
    ],
)
def test_a_proxy_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
    assert judge_proxy(url, "https://api.example").message == f"{shown} for api.example."


def test_no_proxy_is_fine() -> None:
    assert judge_proxy(None, "https://api.example").verdict is Verdict.OK


OWN = Path("/venv/bin/dap")
OTHER = Path("/usr/bin/dap")


@pytest.mark.parametrize(
    ("commands", "official", "verdict", "words"),
    [
        ((OWN,), None, Verdict.OK, "No other"),
        ((), None, Verdict.OK, "No other"),
        ((OWN, OTHER), None, Verdict.WARN, "comes later on PATH: /usr/bin/dap"),
        ((OTHER, OWN), None, Verdict.WARN, "comes first on PATH: /usr/bin/dap"),
        ((OWN,), "2.3.1", Verdict.WARN, "instructure-dap-client 2.3.1"),
    ],
)
def test_other_commands_of_the_same_name_are_pointed_out(
    commands: tuple[Path, ...], official: str | None, verdict: Verdict, words: str
) -> None:
    finding = judge_installation(commands, OWN, official)
    assert finding.verdict is verdict
    assert words in finding.message


def test_a_failure_brings_hint_and_uuid() -> None:
    finding = failed("login", RejectedCredentialsError("Refused", uuid="u-1"))
    assert finding.message == "Refused (uuid u-1)"
    assert finding.advice == RejectedCredentialsError.default_hint


def test_a_finding_is_lines_and_an_object() -> None:
    finding = Finding(check="dns", verdict=Verdict.FAIL, message="No name.", advice="Set one.")
    assert finding.lines() == ["fail  dns           No name.", f"{'':20} -> Set one."]
    assert finding.as_dict() == {"check": "dns", "verdict": "fail", "message": "No name.", "advice": "Set one."}
