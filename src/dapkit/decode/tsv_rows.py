"""Rows of TSV files as Python values, read and converted by DuckDB, for databases that cannot read them directly."""

import re
from collections.abc import Iterator
from typing import Any

from dapkit.errors import BadValueError, IntegrityError

_BATCH = 4096
_THREADS = 2  # Python consumes rows more slowly than two threads read them, and each thread needs its own buffers.
_COLUMN = re.compile(r'(?:converting column "|source column )(?:(?:key|value)\.)?([^"\n]+)')


def read_rows(sql: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a SELECT from `tsv_sql.read_tsv`, in batches of some thousands.

    Raises:
        BadValueError: a value cannot be converted to its type.
        IntegrityError: the files cannot be read as TSV.
    """
    import duckdb  # noqa: PLC0415 -- slow to import, and only few targets need it

    connection = duckdb.connect(config={"preserve_insertion_order": "false", "threads": _THREADS})
    try:
        connection.execute(sql)
        while rows := connection.fetchmany(_BATCH):
            yield rows
    except duckdb.ConversionException as error:
        raise bad_value_error(error) from error
    except duckdb.Error as error:
        raise IntegrityError(f"Cannot read the files: {str(error).partition(chr(10))[0]}") from error
    finally:
        connection.close()


def bad_value_error(error: Exception) -> BadValueError:
    """Return DuckDB's conversion error as ours, without the value, which DuckDB quotes and which may be private."""
    column = _COLUMN.search(str(error))
    return BadValueError(
        f"A value{f' of column {column[1].strip()}' if column else ''} cannot be converted to its type"
    )
