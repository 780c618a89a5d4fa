"""Signed URLs, and the file names in them."""

import re
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from dapkit.sandbox.data.dataset import DataQuery
from dapkit.sandbox.service.identifiers import JobIdentity, ObjectIdentity
from dapkit.sandbox.service.signing import UrlSigner, file_name, unsafe_name

NOW_MS = 1_788_220_800_000


def query(path: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}


def item(file_format: str, index: int = 0, created_ms: int = 0) -> ObjectIdentity:
    return ObjectIdentity(
        job=JobIdentity(
            query=DataQuery(namespace="canvas", table="users", format=file_format, until_ms=0), created_ms=created_ms
        ),
        index=index,
    )


def test_a_url_is_valid_for_its_duration() -> None:
    signer = UrlSigner("dataset")
    given = query(signer.path("abc", "file", signed_ms=NOW_MS, seconds=900))
    assert signer.accepts("abc", given, NOW_MS)
    assert signer.accepts("abc", given, NOW_MS + 899_999)
    assert not signer.accepts("abc", given, NOW_MS + 900_000)


def test_a_url_is_valid_for_its_object_and_dataset_only() -> None:
    given = query(UrlSigner("dataset").path("abc", "file", signed_ms=NOW_MS, seconds=900))
    assert UrlSigner("dataset").accepts("abc", given, NOW_MS)
    assert not UrlSigner("dataset").accepts("abd", given, NOW_MS)
    assert not UrlSigner("other").accepts("abc", given, NOW_MS)


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"])
def test_every_part_of_the_query_counts(name: str) -> None:
    signer = UrlSigner("dataset")
    given = query(signer.path("abc", "file", signed_ms=NOW_MS, seconds=900))
    assert not signer.accepts("abc", given | {name: given[name] + "0"}, NOW_MS)
    assert not signer.accepts("abc", {key: value for key, value in given.items() if key != name}, NOW_MS)


def test_file_names_look_like_those_of_spark() -> None:
    pattern = r"part-00042-[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f-]{17,}-c000\.jsonl\.gz"
    assert re.fullmatch(pattern, file_name(item("jsonl", 42)))
    assert file_name(item("parquet")).endswith("-c000.parquet")
    assert file_name(item("tsv")) == file_name(item("tsv"))
    assert file_name(item("tsv")) != file_name(item("tsv", created_ms=1))


def test_unsafe_names_are_encoded() -> None:
    names = {unsafe_name(step / 100) for step in range(100)}
    assert "../../evil" in names
    for name in names:
        path = urlsplit(UrlSigner("dataset").path("abc", name, signed_ms=NOW_MS, seconds=900)).path
        assert path.count("/") == 3
        assert unquote(path.rpartition("/")[2]) == name
