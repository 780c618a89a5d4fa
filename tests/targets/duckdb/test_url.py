"""URLs of DuckDB files with their settings."""

from pathlib import Path

import pytest

from dapkit.errors import UsageError
from dapkit.targets.duckdb.url import address_of


@pytest.mark.parametrize(
    ("url", "path", "settings"),
    [
        ("duckdb:a.duckdb", "a.duckdb", {}),
        ("duckdb:a.duckdb?", "a.duckdb", {}),
        ("duckdb:what%3F 100%25.duckdb", "what? 100%.duckdb", {}),
        ("duckdb:100%.duckdb", "100%.duckdb", {}),
        ("duckdb:a.duckdb?memory_limit=2GB&threads=2", "a.duckdb", {"memory_limit": "2GB", "threads": "2"}),
        ("duckdb:a?memory_limit=1.5%20gib", "a", {"memory_limit": "1.5 gib"}),
        ("duckdb:a?temp_directory=/scratch/a%26b+c", "a", {"temp_directory": "/scratch/a&b+c"}),
    ],
)
def test_an_address_names_a_file_and_settings(url: str, path: str, settings: dict[str, str]) -> None:
    address = address_of(url)
    assert (address.path, address.settings) == (Path(path), settings)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("duckdb:", ["file"]),
        ("duckdb::memory:", ["file"]),
        ("duckdb:?threads=2", ["file"]),
        ("duckdb:what?.duckdb", [".duckdb", "%3F", "memory_limit"]),
        ("duckdb:a?memory=2GB", ["memory", "memory_limit, temp_directory, threads"]),
        ("duckdb:a?access_mode=read_only", ["access_mode"]),
        ("duckdb:a?memory_limit=much", ["memory_limit", "2GB"]),
        ("duckdb:a?memory_limit=2", ["memory_limit", "2GB"]),
        ("duckdb:a?memory_limit", ["memory_limit", "2GB"]),
        ("duckdb:a?threads=0", ["threads"]),
        ("duckdb:a?threads=-1", ["threads"]),
        ("duckdb:a?threads=two", ["threads"]),
        ("duckdb:a?threads=1&threads=2", ["threads", "once"]),
        ("duckdb:a?temp_directory=", ["temp_directory", "folder"]),
    ],
)
def test_invalid_settings_are_rejected(url: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(url)
    for word in words:
        assert word in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("duckdb:///data/a.duckdb", "duckdb:/data/a.duckdb for an absolute path"),
        ("duckdb:md:college", "Give a file"),
        ("duckdb:motherduck:college", "Give a file"),
    ],
)
def test_ambiguous_and_remote_addresses_are_rejected(url: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(url)
    assert advice in caught.value.hint


def test_a_tilde_is_the_home_folder() -> None:
    assert address_of("duckdb:~/a.duckdb").path == Path("~/a.duckdb").expanduser()
