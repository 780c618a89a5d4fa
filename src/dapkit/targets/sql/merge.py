"""PURE: how rows get from a staging table into a table, in the four ways that `Merge` names."""

from dapkit.model import Table, TypeKind
from dapkit.targets.base import Merge
from dapkit.targets.sql.dialect import Dialect, Statements, identifier, listed, same_key


def repeated_key(dialect: Dialect, table: Table, rows: str) -> str:
    """Select one row if a key occurs more than once in a table of rows."""
    groups = f"SELECT 1 FROM {rows} GROUP BY {_key_values(dialect, table)} HAVING count(*) > 1"
    return dialect.facts.limited(groups, 1)


def keep_newest(dialect: Dialect, table: Table, staging: str, *, action: bool) -> str:
    """Create a temporary table with the newest row of each key; of rows with the same time a deletion wins."""
    facts = dialect.facts
    order = f"{facts.row_time} DESC" + (f", {facts.action_column}" if action else "")
    rank = f"row_number() OVER (PARTITION BY {_key_values(dialect, table)} ORDER BY {order}) AS dapkit_rank"
    select = f"SELECT * FROM (SELECT *, {rank} FROM {staging}) AS numbered WHERE dapkit_rank = 1"
    return facts.create_newest.format(newest=facts.newest, key=listed(table.key), select=select)


def _key_values(dialect: Dialect, table: Table) -> str:
    """Write what is equal for staged rows of the same key, and only for them."""
    values = ((column.type.kind, identifier(column.name)) for column in table.key)
    return ", ".join(dialect.facts.exact_text(value) if kind is TypeKind.TEXT else value for kind, value in values)


def add_lookup_values(dialect: Dialect, table: Table, staging: str) -> Statements:
    """Add the values that are new to the lookup tables."""
    lookups = dialect.lookups
    if lookups is None:
        return []
    return [
        f"INSERT INTO {lookup} ({identifier('value')}) SELECT DISTINCT staged.{name} FROM {staging} AS staged"
        f" LEFT JOIN {lookup} AS known ON {lookups.same_value('known', f'staged.{name}')}"
        f" WHERE staged.{name} IS NOT NULL AND known.id IS NULL"
        for column in dialect.facts.lookup_columns(table)
        for name, lookup in [(identifier(column.name), dialect.facts.lookup_table(table, column))]
    ]


def insert_rows(dialect: Dialect, table: Table, staging: str, into: str) -> str:
    """Insert every staged row; `into` may end with a hint."""
    values, joins = _values(dialect, table)
    return f"INSERT INTO {into} ({listed(table.columns)}) SELECT {', '.join(values)} FROM {staging} AS staged{joins}"


def delete_marked(dialect: Dialect, table: Table, staging: str) -> str:
    """Delete the rows whose keys are staged as deleted, which are few: they are found by the key of the table."""
    live, mark = dialect.facts.full_name(table), f"staged.{dialect.facts.action_column} = 'D'"
    if dialect.lookups is not None:
        same = dialect.lookups.same_key(table, "live", "staged")
        return f"DELETE live FROM {live} AS live JOIN {staging} AS staged ON {same} AND {mark}"
    key = listed(table.key)
    return f"DELETE FROM {live} WHERE ({key}) IN (SELECT {key} FROM {staging} AS staged WHERE {mark})"


def delete_missing(dialect: Dialect, table: Table, staging: str) -> str:
    """Delete the rows whose keys are not staged."""
    live = dialect.facts.full_name(table)
    if dialect.lookups is not None:
        same = dialect.lookups.same_key(table, "live", "staged")
        join = f"{live} AS live LEFT JOIN {staging} AS staged ON {same}"
        return f"DELETE live FROM {join} WHERE staged.{identifier(table.key[0].name)} IS NULL"
    same = same_key(table, "staged", live)
    return f"DELETE FROM {live} WHERE NOT EXISTS (SELECT 1 FROM {staging} AS staged WHERE {same})"


def merge_rows(dialect: Dialect, merge: Merge, table: Table, staging: str, *, action: bool) -> Statements:
    """Insert the staged rows, or update those whose keys exist; rows that are staged as deleted are left out."""
    live, key = dialect.facts.full_name(table), listed(table.key)
    there = f"staged.{dialect.facts.action_column} <> 'D'" if action else ""
    insert = insert_rows(dialect, table, staging, live)
    match merge:
        case Merge.ON_CONFLICT:
            updates = ", ".join(f"{identifier(c.name)} = excluded.{identifier(c.name)}" for c in table.value)
            resolution = f"DO UPDATE SET {updates}" if table.value else "DO NOTHING"
            # SQLite takes ON for the condition of a join unless there is a WHERE.
            return [f"{insert} WHERE {there or 'true'} ON CONFLICT ({key}) {resolution}"]
        case Merge.ON_DUPLICATE_KEY:
            names = [identifier(column.name) for column in table.value or table.key[:1]]
            updates = ", ".join(f"{name} = VALUES({name})" for name in names)
            return [f"{insert}{_where(there)} ON DUPLICATE KEY UPDATE {updates}"]
        case Merge.DELETE_INSERT:
            delete = f"DELETE FROM {live} USING {staging} AS staged WHERE {same_key(table, 'staged', live)}"
            return [delete, f"{insert}{_where(there)}"]
        case Merge.UPDATE_INSERT:
            return _update_and_insert(dialect, table, staging, there)


def _update_and_insert(dialect: Dialect, table: Table, staging: str, there: str) -> Statements:
    """Update, then insert what is new: the state row is locked, so no other process writes in between.

    SQL Server's MERGE would add nothing but its known faults.
    """
    values, joins = _values(dialect, table)
    live = dialect.facts.full_name(table)
    same = (same_key if dialect.lookups is None else dialect.lookups.same_key)(table, "live", "staged")
    and_there = f" AND {there}" if there else ""
    pairs = dict(zip([column.name for column in table.columns], values, strict=True))
    of_live = "" if dialect.lookups is None else "live."
    updates = ", ".join(f"{of_live}{identifier(each.name)} = {pairs[each.name]}" for each in table.value)
    if dialect.lookups is None:
        update = f"UPDATE {live} AS live SET {updates} FROM {staging} AS staged WHERE {same}{and_there}"
    else:
        rows = f"{live} AS live JOIN {staging} AS staged ON {same}{and_there}{joins}"
        update = dialect.facts.update_joined.format(updates=updates, rows=rows)
    insert = (
        f"{insert_rows(dialect, table, staging, live)}"
        f" WHERE NOT EXISTS (SELECT 1 FROM {live} AS live WHERE {same}){and_there}"
    )
    return [update, insert] if table.value else [insert]


def _where(condition: str) -> str:
    return f" WHERE {condition}" if condition else ""


def _values(dialect: Dialect, table: Table) -> tuple[list[str], str]:
    """Return an expression for each column from the staged rows, and the joins with the lookup tables."""
    lookups = dialect.lookups
    if lookups is None:
        return [f"staged.{identifier(column.name)}" for column in table.columns], ""
    known = {column.name: f"known_{place}" for place, column in enumerate(dialect.facts.lookup_columns(table))}
    values = [
        f"{known[column.name]}.id" if column.name in known else f"staged.{identifier(column.name)}"
        for column in table.columns
    ]
    joins = "".join(
        f" LEFT JOIN {dialect.facts.lookup_table(table, column)} AS {known[column.name]}"
        f" ON {lookups.same_value(known[column.name], f'staged.{identifier(column.name)}')}"
        for column in dialect.facts.lookup_columns(table)
    )
    return values, joins
