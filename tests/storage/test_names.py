"""Names from outside become one safe path component."""

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.errors import UnsafeNameError
from dapkit.storage.names import distinct_name, job_folder_name, object_name, schema_file


def test_a_name_as_served_is_kept() -> None:
    url = "https://store.example/x/job/part-00000-0d5b-c000.jsonl.gz?X-Sig=a%2Fb"
    assert object_name(url, 0, ".jsonl.gz") == "part-00000-0d5b-c000.jsonl.gz"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/..", "part-00003.csv.gz"),
        ("/a/%2e%2e%2fevil", "evil"),
        ("/a/..%5C..%5Cevil.csv", "evil.csv"),
        ("/a/.hidden", "hidden"),
        ("/a/", "part-00003.csv.gz"),
        ("", "part-00003.csv.gz"),
        ("/a/con.csv", "_con.csv"),
        ("/a/we ird%00name%0a", "we_ird_name_"),
    ],
)
def test_hostile_names_are_made_safe(path: str, name: str) -> None:
    assert object_name(f"https://store.example{path}?q=1", 3, ".csv.gz") == name


@given(st.text(max_size=400), st.integers(0, 99999))
def test_any_url_results_in_one_visible_component(text: str, index: int) -> None:
    try:
        name = object_name(f"https://h/{text}", index, ".parquet")
    except ValueError:  # not a URL at all; the service's answer is rejected before
        return
    assert PurePosixPath(name).name == name == PureWindowsPath(name).name
    assert not name.startswith(".")
    assert len(name.encode()) <= 200


@given(st.lists(st.sampled_from(["a.csv.gz", "A.csv.gz", "b", "a-00001.csv.gz"]), max_size=8))
def test_names_of_one_job_are_distinct_regardless_of_case(names: list[str]) -> None:
    given_names: list[str] = []
    for index, name in enumerate(names):
        given_names.append(distinct_name(name, index, {other.casefold() for other in given_names}))
    assert len({name.casefold() for name in given_names}) == len(names)


def test_unsafe_job_ids_are_rejected() -> None:
    assert job_folder_name("0f9a-22_b") == "job_0f9a-22_b"
    for bad in ("", "../x", "a/b", ".a", "a b", "x" * 300):
        with pytest.raises(UnsafeNameError):
            job_folder_name(bad)


def test_a_schema_is_named_after_its_table() -> None:
    assert schema_file("course_sections", 3) == "course_sections_schema_version_3.json"


@pytest.mark.parametrize("table", ["../../evil", "/tmp/x", "a\\b", "..", ".hidden", "a\0", "a:b", "x" * 300])
def test_a_table_whose_name_cannot_be_part_of_a_file_name_is_rejected(table: str) -> None:
    with pytest.raises(UnsafeNameError):
        schema_file(table, 1)
