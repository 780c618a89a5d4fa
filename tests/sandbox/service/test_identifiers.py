"""Identifiers contain what they identify, and cannot be forged."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dapkit.sandbox.data.dataset import DataQuery
from dapkit.sandbox.service.identifiers import FORMATS, MODES, Identifiers, JobIdentity, ObjectIdentity

TABLES = [("canvas", "users"), ("canvas", "courses"), ("edge", "users")]
IDENTIFIERS = Identifiers(TABLES, "dataset")
MOMENTS = st.integers(-(2**46), 2**46)

JOBS = st.builds(
    JobIdentity,
    query=st.builds(
        lambda place, **more: DataQuery(namespace=place[0], table=place[1], **more),
        place=st.sampled_from(TABLES),
        format=st.sampled_from(FORMATS),
        mode=st.sampled_from(MODES),
        since_ms=st.none() | MOMENTS,
        until_ms=MOMENTS,
    ),
    created_ms=MOMENTS,
    attempt=st.integers(0, 65_535),
    fails=st.booleans(),
)
JOB = JobIdentity(query=DataQuery(namespace="canvas", table="users", format="csv", until_ms=5), created_ms=7)


@given(JOBS, st.integers(0, 2**32 - 1))
def test_identifiers_round_trip(job: JobIdentity, index: int) -> None:
    item = ObjectIdentity(job=job, index=index)
    assert IDENTIFIERS.parse_job(IDENTIFIERS.for_job(job)) == job
    assert IDENTIFIERS.parse_object(IDENTIFIERS.for_object(item)) == item


@given(JOBS)
def test_identifiers_are_safe_in_urls_and_file_names(job: JobIdentity) -> None:
    assert re.fullmatch(r"[a-z2-7]{64}", IDENTIFIERS.for_job(job))
    assert re.fullmatch(r"[a-z2-7]{71}", IDENTIFIERS.for_object(ObjectIdentity(job=job, index=3)))


LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@given(st.text(max_size=80) | st.text(LETTERS, min_size=64, max_size=71))
def test_other_texts_are_not_identifiers(text: str) -> None:
    assert IDENTIFIERS.parse_job(text) is None
    assert IDENTIFIERS.parse_object(text) is None


@given(st.integers(0, 70), st.sampled_from(LETTERS))
def test_any_changed_character_is_detected(place: int, letter: str) -> None:
    text = IDENTIFIERS.for_object(ObjectIdentity(job=JOB, index=0))
    changed = text[:place] + letter + text[place + 1 :]
    assert (IDENTIFIERS.parse_object(changed) is None) == (changed != text)


def test_upper_case_is_another_identifier() -> None:
    assert IDENTIFIERS.parse_job(IDENTIFIERS.for_job(JOB).upper()) is None


def test_job_and_object_identifiers_are_distinct() -> None:
    assert IDENTIFIERS.parse_object(IDENTIFIERS.for_job(JOB)) is None
    assert IDENTIFIERS.parse_job(IDENTIFIERS.for_object(ObjectIdentity(job=JOB, index=0))) is None


def test_identifiers_are_valid_for_the_same_dataset_only() -> None:
    text = IDENTIFIERS.for_job(JOB)
    assert Identifiers(TABLES, "dataset").parse_job(text) == JOB
    assert Identifiers(TABLES, "other").parse_job(text) is None
    assert Identifiers(TABLES[1:], "dataset").parse_job(text) is None


def test_attempts_differ() -> None:
    assert IDENTIFIERS.for_job(JOB) != IDENTIFIERS.for_job(replace(JOB, attempt=1))
