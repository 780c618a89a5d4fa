import re
import unicodedata
from collections.abc import Iterator

import duckdb
import pytest

from dapkit.sandbox.data.text_macros import NASTY, PEOPLE, macros


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as database:
        for statement in macros():
            database.execute(statement)
        yield database


def values(connection: duckdb.DuckDBPyConnection, sql: str, count: int = 2000) -> list[str]:
    hashes = f"SELECT (hash(i) >> 2)::BIGINT AS h, (hash(i + 1) >> 2)::BIGINT AS g FROM range({count}) AS r(i)"
    return [row[0] for row in connection.execute(f"SELECT {sql} FROM ({hashes})").fetchall()]


def test_names_come_in_many_scripts(connection: duckdb.DuckDBPyConnection) -> None:
    letters = {letter for name in values(connection, "full_name(h)") for letter in name if letter.isalpha()}
    scripts = {unicodedata.name(letter).split()[0] for letter in letters}
    assert {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "CJK", "HANGUL", "DEVANAGARI"} <= scripts


def test_hosts_and_mail_addresses_are_reserved_ones(connection: duckdb.DuckDBPyConnection) -> None:
    assert all(re.fullmatch(r"https://\w+\.example\.edu/\S+", url) for url in values(connection, "url(h)"))
    mail = re.compile(r"[a-z]+\.[a-z]+42@(students\.)?example\.(edu|org)")
    assert all(mail.fullmatch(address) for address in values(connection, "mail(h, 42)"))
    assert all(re.fullmatch(r"[a-z]+", plain) for person in PEOPLE for plain in person[2:])


def test_identifiers_are_uuids_and_differ(connection: duckdb.DuckDBPyConnection) -> None:
    found = values(connection, "uuid_text(h, g)")
    shape = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(shape.fullmatch(text) for text in found)
    assert len(set(found)) == len(found)


def test_texts_vary(connection: duckdb.DuckDBPyConnection) -> None:
    for macro, share in (("html(h)", 0.95), ("remark(h)", 0.9), ("title(h)", 0.5), ("url(h)", 0.9)):
        found = values(connection, macro)
        assert all(found)
        assert len(set(found)) > share * len(found), macro


def test_json_texts_are_json(connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute(
        "SELECT count(*) FILTER (WHERE NOT json_valid(json_text((hash(i) >> 2)::BIGINT))) FROM range(2000) AS r(i)"
    ).fetchone() == (0,)


def test_every_difficult_text_occurs_unchanged(connection: duckdb.DuckDBPyConnection) -> None:
    assert set(values(connection, "nasty(h)")) == set(NASTY)
    assert {"", "NULL", "\\N"} <= set(NASTY)
    for character in "\t\n\r\"'\\\b\f\v,":
        assert any(character in text for text in NASTY)
