"""Facts about the service as package data: the structure of its API, all known tables and columns.

`query-api.json` is the structure of the published OpenAPI description, `tables.csv` the list of tables and columns,
`changes.csv` the changes of schemas since it was first compiled, `nested.json` the properties of nested columns. The
headers of the CSV files explain them.
"""

import csv
from collections.abc import Iterator
from importlib.resources import files


def read(name: str) -> str:
    """Return the text of one of the package's data files, for example `tables.csv`."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def rows(name: str) -> Iterator[dict[str, str]]:
    """Return the rows of one of the CSV files, without its comments."""
    return csv.DictReader(line for line in read(name).splitlines() if not line.startswith("#"))


def alternatives(cell: str) -> tuple[str, ...]:
    """Return what a cell lists with `|` between: values of an enum, or tables that a column refers to."""
    return tuple(part for part in cell.split("|") if part)
