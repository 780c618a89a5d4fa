"""Facts about the service as package data: the API's structure, every known table and column.

`query-api.json` is the structure of the published OpenAPI description, `tables.csv` the catalogue of tables
(its header explains its columns), `nested.json` the properties of nested columns.
"""

from importlib.resources import files


def read(name: str) -> str:
    """Return the text of one of the package's data files, for example `tables.csv`."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
