"""The language of faults, and its dice."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UsageError
from dapkit.sandbox.faults.rules import ENDPOINTS, KINDS, Fault, FaultPlan, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cut:20%", Fault(text="cut:20%", kind="cut", endpoints=("object",), probability=0.2)),
        (
            "500:12.5%@job,url",
            Fault(text="500:12.5%@job,url", kind="500", endpoints=("job", "url"), probability=0.125),
        ),
        (
            "failed-job:sticky:users",
            Fault(
                text="failed-job:sticky:users",
                kind="failed-job",
                endpoints=("data",),
                sticky=True,
                tables="users",
            ),
        ),
        (
            "429:2s:date:x3@data",
            Fault(text="429:2s:date:x3@data", kind="429", endpoints=("data",), seconds=2.0, date=True, limit=3),
        ),
        ("stall:\u00d72", Fault(text="stall:\u00d72", kind="stall", endpoints=("object",), limit=2)),
        (
            "short:quiz_*",
            Fault(text="short:quiz_*", kind="short", endpoints=("object",), tables="quiz_*"),
        ),
    ],
)
def test_faults_are_read(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "Unknown fault ''"),
        ("melt", "'melt'"),
        ("cut:0%", "0%"),
        ("cut:101%", "101%"),
        ("cut:", "empty word"),
        ("cut:20%:30%", "probability twice"),
        ("cut:x0", "never happen"),
        ("cut:5 s", "'5 s'"),
        ("cut@login", "cannot befall 'login'"),
        ("500@moon", "cannot befall 'moon'"),
        ("500@", "cannot befall ''"),
    ],
)
def test_mistakes_are_named(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=re.escape(part)):
        parse_fault(text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_stands_alone(kind: str) -> None:
    default, allowed, meaning = KINDS[kind]
    assert parse_fault(kind).endpoints == default
    assert set(default) <= set(allowed) <= set(ENDPOINTS)
    assert meaning


def test_a_fault_befalls_its_endpoints_and_tables_only() -> None:
    fault = parse_fault("500:quiz*@job,url")
    assert fault.befalls("job", "quizzes")
    assert not fault.befalls("data", "quizzes")
    assert not fault.befalls("job", "users")
    assert not fault.befalls("job", None)
    assert parse_fault("500").befalls("login", None)


def rolls(plan: FaultPlan, count: int, endpoint: str = "object") -> list[bool]:
    return [plan.decide(endpoint, "users") is not None for _ in range(count)]


@given(st.integers(), st.integers(1, 99))
def test_the_same_seed_throws_the_same_dice(seed: int, percent: int) -> None:
    plans = [FaultPlan([f"cut:{percent}%"], seed=seed) for _ in range(2)]
    assert rolls(plans[0], 50) == rolls(plans[1], 50)


def test_probability_is_met_over_many_requests() -> None:
    assert sum(rolls(FaultPlan(["cut:20%"], seed=3), 10_000)) == pytest.approx(2000, abs=150)
    assert all(rolls(FaultPlan(["cut"]), 100))
    assert not any(rolls(FaultPlan(["500@job"]), 100))


def test_a_limit_is_kept_and_the_next_fault_then_has_its_turn() -> None:
    plan = FaultPlan(["cut:x2", "short"])
    kinds = [occurrence.kind for _ in range(4) if (occurrence := plan.decide("object", "users"))]
    assert kinds == ["cut", "cut", "short", "short"]
    assert plan.happened == {"cut:x2": 2, "short": 2}


def test_replacing_faults_begins_anew() -> None:
    plan = FaultPlan(["cut:x1"])
    rolls(plan, 2)
    plan.replace(["cut:x1"])
    assert rolls(plan, 2) == [True, False]
    plan.replace([])
    assert rolls(plan, 2) == [False, False]


def test_a_wrong_fault_leaves_the_plan_as_it_was() -> None:
    plan = FaultPlan(["cut"])
    with pytest.raises(UsageError):
        plan.replace(["short", "melt"])
    assert [fault.kind for fault in plan.faults] == ["cut"]
    assert all(rolls(plan, 5))


def test_fractions_lie_in_the_body() -> None:
    plan = FaultPlan(["corrupt"])
    fractions = [occurrence.fraction for _ in range(100) if (occurrence := plan.decide("object"))]
    assert len(set(fractions)) == 100
    assert all(0 <= fraction < 1 for fraction in fractions)
