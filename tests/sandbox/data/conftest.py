"""A small dataset, and its tables at given times."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from dapkit.sandbox.data.catalogue import Table
from dapkit.sandbox.data.dataset import DataQuery, Dataset
from dapkit.sandbox.data.timeline import DECADE, ORIGIN, REFRESH

Row = tuple[Any, ...]
Rows = Callable[[Table, int | None, int], tuple[Row, ...]]

NOW = (ORIGIN + DECADE) // REFRESH * REFRESH


@pytest.fixture(scope="session")
def college() -> Dataset:
    return Dataset(scale=0.03)


@pytest.fixture(scope="session")
def now() -> int:
    return NOW


@pytest.fixture(scope="session")
def rows(college: Dataset) -> Rows:
    """Return rows of a snapshot (since None) or an increment: ts, action, keys, values. Cached for the session."""

    @cache
    def fetch(table: Table, since: int | None, until: int) -> tuple[Row, ...]:
        query = DataQuery(namespace=table.namespace, table=table.name, format="jsonl", since_ms=since, until_ms=until)
        return tuple(row for part in college.parts(query) for row in college.rows(part))

    return fetch
