"""PURE. Tables as the sources of a dbt project: descriptions, and tests of keys, nulls and relations.

The tests have the form of dbt 1.10.8 and later, in which arguments have their own property.
"""

import re
from collections.abc import Iterable, Sequence

from dapkit.describe.description import ColumnDescription, TableDescription
from dapkit.describe.relations import Reference
from dapkit.describe.yaml_text import Value, to_yaml


def dbt_sources(tables: Sequence[TableDescription]) -> str:
    """Return `sources.yml`: one source per namespace, whose schema has the namespace's name.

    A reference is tested if its table is one of the tables, because dbt rejects tests that name an unknown source.
    References to one of several tables are not tested.
    """
    namespaces = dict.fromkeys(table.namespace for table in tables)
    known = frozenset(table.qualified for table in tables)
    return to_yaml(
        {
            "version": 2,
            "sources": [
                {
                    "name": namespace,
                    "schema": namespace,
                    "tables": [_table(table, known) for table in tables if table.namespace == namespace],
                }
                for namespace in namespaces
            ],
        }
    )


def untested_tables(tables: Sequence[TableDescription]) -> tuple[str, ...]:
    """Return the tables that references lead to and that are missing, so that these references are not tested."""
    known = {table.qualified for table in tables}
    targets = [_target(each) for table in tables for each in table.references]
    return tuple(dict.fromkeys(name for name, column in filter(None, targets) if column and name not in known))


def _table(table: TableDescription, known: frozenset[str]) -> Value:
    references = {each.column: each for each in table.references}
    return {
        "name": table.name,
        **_described(table.meaning),
        "columns": [_column(column, table, references.get(column.name), known) for column in table.columns],
    }


def _column(
    column: ColumnDescription, table: TableDescription, reference: Reference | None, known: frozenset[str]
) -> Value:
    tests: list[Value] = []
    if table.key == (column.name,):
        tests.append("unique")
    if not column.nullable:
        tests.append("not_null")
    tests += _relationship(reference, known)
    return {"name": column.name, **_described(column.text), **({"data_tests": tests} if tests else {})}


def _relationship(reference: Reference | None, known: Iterable[str]) -> list[Value]:
    target = _target(reference) if reference is not None else None
    if target is None or target[0] not in known:
        return []
    namespace, _, name = target[0].partition(".")
    arguments: Value = {"to": f"source('{namespace}', '{name}')", "field": target[1] or ""}
    # The service promises no foreign keys: a row may be deleted before those that refer to it.
    return [{"relationships": {"arguments": arguments, "config": {"severity": "warn"}}}]


def _target(reference: Reference) -> tuple[str, str] | None:
    """Return the table and the column that a reference leads to, if it is always the same table."""
    if len(reference.targets) != 1 or reference.targets[0].column is None:
        return None
    return reference.targets[0].table, reference.targets[0].column


def _described(text: str) -> dict[str, Value]:
    return {"description": _literal(text)} if text else {}


def _literal(text: str) -> str:
    """Return a text that dbt shows unchanged: it interprets `{{`, `{%` and `{#` in descriptions."""
    return re.sub(r"\{(?=[{%#])", "{{ '{' }}", text)
