"""PURE: what the state tables of several databases have in common."""

from dapkit.targets.sql.dialect import Dialect, Statements

OFFICIAL_COMMENTS = {
    "table_sync": "Table for storing meta-information about tables managed by the client library.",
    "table_sync.source_namespace": "The namespace of the source table exposed by DAP API (e.g. `canvas`).",
    "table_sync.source_table": "The name of the source table exposed by DAP API (e.g. `accounts`).",
    "table_sync.timestamp": (
        "The timestamp of the source table that can be used by the client library in incremental queries during"
        " subsequent `syncdb` command executions."
    ),
    "table_sync.schema_version": (
        "The latest schema version of the source table at the time point when it was last initialized or"
        " synchronized with the DAP API."
    ),
    "table_sync.target_schema": (
        "The name of the target schema in the local database if applicable (e.g. in case of a PostgreSQL database the"
        " tables can be grouped into schemas)."
    ),
    "table_sync.target_table": (
        "The name of the target table in the local database. In might differ from the name of the source table. For"
        " example in case of a MySQL database, the tables cannot be grouped in schemas. In this case, the implementor"
        " can use a prefix that reflects the namespace of the source table. For example, the qualified name"
        " `canvas.accounts` would become `canvas__accounts`."
    ),
    "table_sync.schema_description": (
        "The latest schema descriptor of the source table at the time point when it was initialized or last"
        " synchronized."
    ),
    "table_sync.schema_description_format": "The format of the schema descriptor (e.g. `json`).",
    "database_version": "Table for storing meta-information about the database schema version.",
    "database_version.version": "The version of the database schema.",
}
"""The official client's comments, word for word, by table or by table and column."""


def file_state_tables(dialect: Dialect, *, id_: str, text: str, integer: str, time: str) -> Statements:
    """Create the state tables in a file, which the official client does not know, where they are missing.

    `id_` is the type of a column that numbers itself; the other types are named by what they hold.
    """
    sync, version, origin, history = (
        dialect.facts.state_table(name)
        for name in ("table_sync", "database_version", "dapkit_origin", "dapkit_history")
    )
    return [
        f"CREATE TABLE IF NOT EXISTS {sync} (id {id_},"
        f" source_namespace {text} NOT NULL, source_table {text} NOT NULL, timestamp {time} NOT NULL,"
        f" schema_version {integer} NOT NULL, target_schema {text}, target_table {text} NOT NULL,"
        f" schema_description_format {text} NOT NULL, schema_description {text} NOT NULL)",
        f"CREATE TABLE IF NOT EXISTS {version} (version {integer})",
        f"CREATE TABLE IF NOT EXISTS {origin} (origin {text} NOT NULL)",
        f"CREATE TABLE IF NOT EXISTS {history} (time {time} NOT NULL, source_namespace {text} NOT NULL,"
        f" source_table {text} NOT NULL, event {text} NOT NULL, detail {text})",
    ]
