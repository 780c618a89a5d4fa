"""Which results are no longer needed: a pure decision."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UsageError
from dapkit.export.prune_plan import PruneRule, results_to_remove, selected_results
from dapkit.export.stored_results import ResultForm, StoredResult
from dapkit.model import Mode, format_utc, utc_time

FIRST_DAY = utc_time("2026-08-01T00:00:00Z")
START = FIRST_DAY.timestamp()


def time(day: float) -> str:
    return format_utc(FIRST_DAY + timedelta(days=day))


def snapshot(
    at: float,
    *,
    table: str = "users",
    namespace: str = "canvas",
    completed: float | None = None,
    form: ResultForm = ResultForm.RAW,
    mode: Mode = Mode.EXPANDED,
    name: str = "",
) -> StoredResult:
    return StoredResult(
        path=Path(f"{namespace}-{table}-{form}-{mode}-{at}{name}"),
        files=(),
        form=form,
        format="jsonl",
        mode=mode,
        service="s",
        scope=None,
        sandbox=False,
        namespace=namespace,
        table=table,
        job_id="j",
        schema_version=1,
        at=time(at),
        since=None,
        until=None,
        rows=1,
        bytes=1,
        completed_at=time(at if completed is None else completed),
    )


def changes(since: float, until: float, **more: float) -> StoredResult:
    made = snapshot(until, name=f"-since-{since}", **more)  # type: ignore[arg-type]
    return replace(made, at=None, since=time(since), until=time(until))


def removed(results: list[StoredResult], rule: PruneRule) -> list[StoredResult]:
    return list(results_to_remove(results, rule))


def days_ago(day: float) -> PruneRule:
    return PruneRule(completed_before=START + day * 86_400)


def test_the_latest_snapshots_stay_with_all_later_changes() -> None:
    old, middle, new = snapshot(0), snapshot(10), snapshot(20)
    before, between, after = changes(0, 10), changes(10, 20), changes(20, 30)
    everything = [old, before, middle, between, new, after]
    assert removed(everything, PruneRule(keep=1)) == [old, before, middle, between]
    assert removed(everything, PruneRule(keep=2)) == [old, before]
    assert removed(everything, PruneRule(keep=3)) == []


def test_changes_that_start_before_a_snapshot_and_end_after_it_stay() -> None:
    """The next changes start where these end: without them, the snapshot could not be continued."""
    chain = [snapshot(0), changes(0, 10), snapshot(5), changes(10, 20)]
    assert removed(chain, PruneRule(keep=1)) == [chain[0]]


def test_each_namespace_table_form_and_mode_is_counted_separately() -> None:
    kept = [
        snapshot(0), snapshot(0, table="courses"), snapshot(0, namespace="catalog"),
        snapshot(0, form=ResultForm.FLAT), snapshot(0, mode=Mode.CONDENSED),
        replace(snapshot(0), format="tsv", path=Path("t")), replace(snapshot(0), service="other", path=Path("o")),
    ]  # fmt: skip
    assert removed(kept, PruneRule(keep=1)) == []


def test_results_that_are_older_than_an_age_go_except_the_latest_chain() -> None:
    old, middle, new = snapshot(0), snapshot(10), snapshot(20)
    before, between, after = changes(0, 10), changes(10, 20), changes(20, 30)
    everything = [old, before, middle, between, new, after]
    assert removed(everything, days_ago(15)) == [old, before, middle]
    assert removed(everything, days_ago(100)) == [old, before, middle, between]
    assert removed(everything, days_ago(5)) == [old]
    assert removed(everything, days_ago(-1)) == []


def test_an_old_chain_that_is_the_latest_stays() -> None:
    chain = [snapshot(0), changes(0, 1), changes(1, 2)]
    assert removed(chain, days_ago(100)) == []


def test_changes_without_a_snapshot_are_not_counted_and_the_latest_never_go() -> None:
    alone = [changes(0, 1), changes(1, 2), changes(2, 3)]
    assert removed(alone, PruneRule(keep=1)) == []
    assert removed(alone, days_ago(100)) == alone[:2]


def test_results_of_logs_have_to_be_named() -> None:
    logs, users = snapshot(0, table="web_logs", namespace="canvas_logs"), snapshot(0)
    both = [logs, users]
    for wanted in ((), ("all",), ("*",), ("web*", "users")):
        assert selected_results(both, wanted) == (users,)
    assert selected_results(both, ("web_logs",)) == (logs,)
    assert selected_results(both, ("web_logs", "all")) == (logs, users)
    assert selected_results([], ()) == ()


@pytest.mark.parametrize(("name", "hint"), [("user", "users"), ("nothing", "dap results"), ("x*", "")])
def test_a_name_without_a_result_is_an_error(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        selected_results([snapshot(0)], (name,))
    assert hint in (caught.value.hint or "")


RULES = st.one_of(
    st.builds(PruneRule, keep=st.integers(1, 4)),
    st.integers(-5, 45).map(days_ago),
)
DAYS = st.integers(0, 40)
RESULTS = st.lists(
    st.one_of(
        st.tuples(DAYS, DAYS).map(lambda pair: snapshot(pair[0], completed=pair[1])),
        st.tuples(DAYS, DAYS, DAYS).map(lambda found: changes(min(found[:2]), max(found[:2]), completed=found[2])),
    ),
    max_size=12,
    unique_by=lambda each: each.path,
)


@given(RESULTS, RULES)
def test_the_latest_chain_always_stays(results: list[StoredResult], rule: PruneRule) -> None:
    gone = set(removed(results, rule))
    snapshots = [each for each in results if each.at is not None]
    if not snapshots:
        assert not results or max(each.ends for each in results) == max(
            each.ends for each in results if each not in gone
        )
        return
    latest = max(each.ends for each in snapshots)
    assert any(each.ends == latest for each in snapshots if each not in gone)
    assert not [each for each in gone if each.at is None and each.ends > latest]


@given(RESULTS, RULES)
def test_a_snapshot_that_stays_keeps_its_later_changes(results: list[StoredResult], rule: PruneRule) -> None:
    gone = set(removed(results, rule))
    for kept in (each for each in results if each.at is not None and each not in gone):
        assert not [each for each in gone if each.at is None and each.begins >= kept.ends]


@given(RESULTS, RULES)
def test_nothing_more_goes_the_second_time(results: list[StoredResult], rule: PruneRule) -> None:
    gone = removed(results, rule)
    assert removed([each for each in results if each not in gone], rule) == []


@given(RESULTS, st.integers(1, 4))
def test_at_most_the_given_number_of_snapshots_stays(results: list[StoredResult], keep: int) -> None:
    gone = set(removed(results, PruneRule(keep=keep)))
    snapshots = [each for each in results if each.at is not None]
    assert len([each for each in snapshots if each not in gone]) == min(keep, len(snapshots))


@given(RESULTS, st.integers(-5, 45))
def test_nothing_that_is_young_goes(results: list[StoredResult], day: int) -> None:
    assert all(each.completed < START + day * 86_400 for each in removed(results, days_ago(day)))
