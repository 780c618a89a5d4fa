"""PURE: the state tables as the official client creates them, with its comments, and our own tables next to them."""

from collections.abc import Mapping

from dapkit.targets.sql.state_tables import OFFICIAL_COMMENTS

_SYNC = {
    "id": "bigint NOT NULL AUTO_INCREMENT",
    "source_namespace": "varchar(64) NOT NULL",
    "source_table": "varchar(64) NOT NULL",
    "timestamp": "datetime NOT NULL",
    "schema_version": "bigint NOT NULL",
    "target_schema": "varchar(64)",
    "target_table": "varchar(64) NOT NULL",
    "schema_description_format": "varchar(64) NOT NULL",
    "schema_description": "mediumtext NOT NULL",
}
_HISTORY = (
    "(id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, time datetime(6) NOT NULL, source_namespace varchar(64) NOT NULL,"
    " source_table varchar(64) NOT NULL, event varchar(64) NOT NULL, detail mediumtext,"
    " KEY dapkit_history_of (source_namespace, source_table, time)) COMMENT = 'What dapkit did to each table.'"
)
_BEGUN = (
    "(source_namespace varchar(64) NOT NULL, source_table varchar(64) NOT NULL,"
    " PRIMARY KEY (source_namespace, source_table)) COMMENT = 'Tables that dapkit is making.'"
)


def _official(table: str, columns: Mapping[str, str], key: str) -> str:
    lines = []
    for name, type_ in columns.items():
        comment = OFFICIAL_COMMENTS.get(f"{table}.{name}")
        lines.append(f"{name} {type_} COMMENT '{comment}'" if comment else f"{name} {type_}")
    lines.append(f"CONSTRAINT pk_instructure_dap__{table} PRIMARY KEY ({key})")
    return f"({', '.join(lines)}) COMMENT = '{OFFICIAL_COMMENTS[table]}'"


TABLES: Mapping[str, str] = {
    "table_sync": _official("table_sync", _SYNC, "id"),
    "database_version": _official("database_version", {"version": "bigint NOT NULL AUTO_INCREMENT"}, "version"),
    "dapkit_origin": (
        "(origin varchar(64) NOT NULL PRIMARY KEY) COMMENT = 'Whether this database holds the data of a sandbox.'"
    ),
    "dapkit_history": _HISTORY,
    "dapkit_begun": _BEGUN,
}
"""The definition of each state table, by its name without prefix."""
