import duckdb

from dapkit.sandbox.data.sql import identifier, literal, pick


def test_literals_identifiers_and_picks() -> None:
    text = "it's; \\ \"\n"
    with duckdb.connect() as connection:
        result = connection.execute(f"SELECT {literal(text)} AS {identifier(text)}")
        assert [column[0] for column in result.description or ()] == [text]
        assert result.fetchone() == (text,)
        assert connection.execute(f"SELECT {pick(('a', 'b', 'c'), '(3 * 7 + 2)')}").fetchone() == ("c",)
