"""PURE: the books as the official client makes them, with its words, and our own tables beside them."""

from collections.abc import Mapping

__all__ = ["BEGUN", "TABLES"]

BEGUN = "dapkit_begun"
"""Our own table of the tables that are being made: what stands there, empty, is ours."""

_SYNC = """
    id bigint NOT NULL AUTO_INCREMENT,
    source_namespace varchar(64) NOT NULL
        COMMENT 'The namespace of the source table exposed by DAP API (e.g. `canvas`).',
    source_table varchar(64) NOT NULL
        COMMENT 'The name of the source table exposed by DAP API (e.g. `accounts`).',
    timestamp datetime NOT NULL
        COMMENT 'The timestamp of the source table that can be used by the client library in incremental queries during
 subsequent `syncdb` command executions.',
    schema_version bigint NOT NULL
        COMMENT 'The latest schema version of the source table at the time point when it was last initialized or
 synchronized with the DAP API.',
    target_schema varchar(64)
        COMMENT 'The name of the target schema in the local database if applicable (e.g. in case of a PostgreSQL
 database the tables can be grouped into schemas).',
    target_table varchar(64) NOT NULL
        COMMENT 'The name of the target table in the local database. In might differ from the name of the source table.
 For example in case of a MySQL database, the tables cannot be grouped in schemas. In this case, the implementor can
 use a prefix that reflects the namespace of the source table. For example, the qualified name `canvas.accounts` would
 become `canvas__accounts`.',
    schema_description_format varchar(64) NOT NULL
        COMMENT 'The format of the schema descriptor (e.g. `json`).',
    schema_description mediumtext NOT NULL
        COMMENT 'The latest schema descriptor of the source table at the time point when it was initialized or last
 synchronized.',
    CONSTRAINT pk_instructure_dap__table_sync PRIMARY KEY (id)
"""
_VERSION = """
    version bigint NOT NULL AUTO_INCREMENT COMMENT 'The version of the database schema.',
    CONSTRAINT pk_instructure_dap__database_version PRIMARY KEY (version)
"""
_HISTORY = """
    id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, time datetime(6) NOT NULL, source_namespace varchar(64) NOT NULL,
    source_table varchar(64) NOT NULL, event varchar(64) NOT NULL, detail mediumtext,
    KEY dapkit_history_of (source_namespace, source_table, time)
"""
_ORIGIN = "origin varchar(64) NOT NULL PRIMARY KEY"
_BEGUN = """
    source_namespace varchar(64) NOT NULL, source_table varchar(64) NOT NULL,
    PRIMARY KEY (source_namespace, source_table)
"""


def _told(columns: str, comment: str) -> str:
    return f"({' '.join(columns.split())}) COMMENT = '{comment}'"


TABLES: Mapping[str, str] = {
    "table_sync": _told(_SYNC, "Table for storing meta-information about tables managed by the client library."),
    "database_version": _told(_VERSION, "Table for storing meta-information about the database schema version."),
    "dapkit_origin": _told(_ORIGIN, "Whether this database holds the data of a sandbox."),
    "dapkit_history": _told(_HISTORY, "What dapkit did to each table."),
    BEGUN: _told(_BEGUN, "Tables that dapkit is making."),
}
"""The definition of each table of the books, by its name without prefix."""
