"""Facts about the service as package data: the structure of its API, all known tables and columns.

`query-api.json` is the structure of the published OpenAPI description, `tables.csv` the list of tables and columns,
`changes.csv` the changes of schemas since it was first compiled, `nested.json` the properties of nested columns. The
headers of the CSV files explain them.
"""

from importlib.resources import files


def read(name: str) -> str:
    """Return the text of one of the package's data files, for example `tables.csv`."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
