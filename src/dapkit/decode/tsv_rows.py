"""Rows of TSV objects as Python values, in batches: DuckDB reads and converts, for databases that cannot themselves."""

import re
from collections.abc import Iterator
from typing import Any

from dapkit.errors import BadValueError, IntegrityError

__all__ = ["fetch", "unfit"]

_BATCH = 4096
_THREADS = 2  # Python takes rows more slowly than two threads read them, and each has buffers of its own.
_COLUMN = re.compile(r'(?:converting column "|source column )(?:(?:key|value)\.)?([^"\n]+)')


def fetch(sql: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a SELECT from `dapkit.decode.tsv_sql.read_tsv`, some thousands at once.

    Raises:
        BadValueError: a value is none of the type that it should be.
        IntegrityError: the files are no such files.
    """
    import duckdb  # noqa: PLC0415, only where it is used

    connection = duckdb.connect(config={"preserve_insertion_order": "false", "threads": _THREADS})
    try:
        connection.execute(sql)
        while rows := connection.fetchmany(_BATCH):
            yield rows
    except duckdb.ConversionException as error:
        raise unfit(error) from error
    except duckdb.Error as error:
        raise IntegrityError(f"The files cannot be read: {str(error).partition(chr(10))[0]}") from error
    finally:
        connection.close()


def unfit(error: Exception) -> BadValueError:
    """Return DuckDB's complaint of a value that is none of its type, without the value, which it quotes."""
    column = _COLUMN.search(str(error))
    return BadValueError(f"A value{f' of column {column[1].strip()}' if column else ''} is not of its type")
