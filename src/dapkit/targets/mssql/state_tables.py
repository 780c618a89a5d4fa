"""PURE: the state tables as the official client creates them, and our own tables next to them.

They are created only where they are missing: a user who may write to them need not be allowed to create anything. The
history is sorted by table: if it had to be scanned, tables that load side by side would wait for each other's new rows,
which is a deadlock.
"""

from collections.abc import Mapping

__all__ = ["TABLES"]

_SYNC = """
    "id" bigint NOT NULL IDENTITY, "source_namespace" varchar(256) NOT NULL, "source_table" varchar(256) NOT NULL,
    "timestamp" datetime2 NOT NULL, "schema_version" bigint NOT NULL, "target_schema" varchar(256) NULL,
    "target_table" varchar(256) NOT NULL, "schema_description_format" varchar(256) NOT NULL,
    "schema_description" varchar(max) NOT NULL,
    CONSTRAINT "pk_instructure_dap_table_sync" PRIMARY KEY ("id")
"""
_VERSION = """
    "version" bigint NOT NULL IDENTITY, CONSTRAINT "pk_instructure_dap_database_version" PRIMARY KEY ("version")
"""
_ORIGIN = '"origin" varchar(64) NOT NULL'
_HISTORY = """
    "time" datetime2 NOT NULL, "source_namespace" varchar(256) NOT NULL, "source_table" varchar(256) NOT NULL,
    "event" varchar(64) NOT NULL, "detail" varchar(max) NULL,
    INDEX "dapkit_history_of" CLUSTERED ("source_namespace", "source_table", "time")
"""

TABLES: Mapping[str, str] = {
    "table_sync": " ".join(_SYNC.split()),
    "database_version": " ".join(_VERSION.split()),
    "dapkit_origin": _ORIGIN,
    "dapkit_history": " ".join(_HISTORY.split()),
}
"""The definition of each state table."""
