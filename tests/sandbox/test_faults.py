"""Parsing of fault rules, and the decision which requests they hit."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UsageError
from dapkit.sandbox.faults import ENDPOINTS, KINDS, FaultPlan, FaultRule, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cut:20%", FaultRule(text="cut:20%", kind="cut", endpoints=("object",), probability=0.2)),
        (
            "500:12.5%@job,url",
            FaultRule(text="500:12.5%@job,url", kind="500", endpoints=("job", "url"), probability=0.125),
        ),
        (
            "failed-job:sticky:users",
            FaultRule(
                text="failed-job:sticky:users",
                kind="failed-job",
                endpoints=("data",),
                sticky=True,
                tables="users",
            ),
        ),
        (
            "429:2s:date:x3@data",
            FaultRule(text="429:2s:date:x3@data", kind="429", endpoints=("data",), seconds=2.0, date=True, limit=3),
        ),
        ("stall:\u00d72", FaultRule(text="stall:\u00d72", kind="stall", endpoints=("object",), limit=2)),
        (
            "short:quiz_*",
            FaultRule(text="short:quiz_*", kind="short", endpoints=("object",), tables="quiz_*"),
        ),
    ],
)
def test_valid_rules(text: str, fault: FaultRule) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "Unknown kind of fault: ''"),
        ("melt", "'melt'"),
        ("cut:0%", "0%"),
        ("cut:101%", "101%"),
        ("cut:", "Invalid option ''"),
        ("cut:20%:30%", "sets probability twice"),
        ("cut:x0", "never happen"),
        ("cut:5 s", "'5 s'"),
        ("cut@login", "does not apply to 'login'"),
        ("500@moon", "does not apply to 'moon'"),
        ("500@", "does not apply to ''"),
    ],
)
def test_mistakes_are_reported(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=re.escape(part)):
        parse_fault(text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_valid_without_options(kind: str) -> None:
    facts = KINDS[kind]
    assert parse_fault(kind).endpoints == facts.default
    assert set(facts.default) <= set(facts.allowed) <= set(ENDPOINTS)
    assert facts.effect


def test_a_fault_applies_only_to_its_endpoints_and_tables() -> None:
    fault = parse_fault("500:quiz*@job,url")
    assert fault.applies_to("job", "quizzes")
    assert not fault.applies_to("data", "quizzes")
    assert not fault.applies_to("job", "users")
    assert not fault.applies_to("job", None)
    assert parse_fault("500").applies_to("login", None)


def rolls(plan: FaultPlan, count: int, endpoint: str = "object") -> list[bool]:
    return [plan.decide(endpoint, "users") is not None for _ in range(count)]


@given(st.integers(), st.integers(1, 99))
def test_the_same_seed_gives_the_same_faults(seed: int, percent: int) -> None:
    plans = [FaultPlan([f"cut:{percent}%"], seed=seed) for _ in range(2)]
    assert rolls(plans[0], 50) == rolls(plans[1], 50)


def test_probability_is_met_over_many_requests() -> None:
    assert sum(rolls(FaultPlan(["cut:20%"], seed=3), 10_000)) == pytest.approx(2000, abs=150)
    assert all(rolls(FaultPlan(["cut"]), 100))
    assert not any(rolls(FaultPlan(["500@job"]), 100))


def test_after_its_limit_a_fault_gives_way_to_the_next() -> None:
    plan = FaultPlan(["cut:x2", "short"])
    kinds = [occurrence.kind for _ in range(4) if (occurrence := plan.decide("object", "users"))]
    assert kinds == ["cut", "cut", "short", "short"]


def test_replacing_rules_resets_their_limits() -> None:
    plan = FaultPlan(["cut:x1"])
    rolls(plan, 2)
    plan.replace(["cut:x1"])
    assert rolls(plan, 2) == [True, False]
    plan.replace([])
    assert rolls(plan, 2) == [False, False]


def test_an_invalid_rule_changes_nothing() -> None:
    plan = FaultPlan(["cut"])
    with pytest.raises(UsageError):
        plan.replace(["short", "melt"])
    assert [fault.kind for fault in plan.rules] == ["cut"]
    assert all(rolls(plan, 5))


def test_fractions_lie_in_the_body() -> None:
    plan = FaultPlan(["corrupt"])
    fractions = [occurrence.fraction for _ in range(100) if (occurrence := plan.decide("object"))]
    assert len(set(fractions)) == 100
    assert all(0 <= fraction < 1 for fraction in fractions)
