"""PURE: the state tables as the official client creates them, and our own tables next to them."""

from dapkit.targets.mssql.lookup_tables import missing
from dapkit.targets.sql.dialect import STATE_SCHEMA, identifier

STAGING_PREFIX = "dapkit_staging_"
"""How the names of staging tables begin; they lie next to the state tables."""

# The history has a clustered index: if it had to be scanned, sessions that load at the same time would wait for each
# other's new entries, which is a deadlock.
_COLUMNS = {
    "table_sync": (
        '"id" bigint NOT NULL IDENTITY, "source_namespace" varchar(256) NOT NULL, "source_table" varchar(256) NOT NULL,'
        ' "timestamp" datetime2 NOT NULL, "schema_version" bigint NOT NULL, "target_schema" varchar(256) NULL,'
        ' "target_table" varchar(256) NOT NULL, "schema_description_format" varchar(256) NOT NULL,'
        ' "schema_description" varchar(max) NOT NULL, CONSTRAINT "pk_instructure_dap_table_sync" PRIMARY KEY ("id")'
    ),
    "database_version": (
        '"version" bigint NOT NULL IDENTITY, CONSTRAINT "pk_instructure_dap_database_version" PRIMARY KEY ("version")'
    ),
    "dapkit_origin": '"origin" varchar(64) NOT NULL PRIMARY KEY',
    "dapkit_history": (
        '"id" bigint NOT NULL IDENTITY PRIMARY KEY NONCLUSTERED, "time" datetime2 NOT NULL,'
        ' "source_namespace" varchar(256) NOT NULL, "source_table" varchar(256) NOT NULL,'
        ' "event" varchar(64) NOT NULL, "detail" varchar(max) NULL,'
        ' INDEX "dapkit_history_of" CLUSTERED ("source_namespace", "source_table", "time")'
    ),
}
# The privilege to create them is needed only where they are missing.
CREATE_STATE_TABLES = tuple(
    f"IF {missing(name)} CREATE TABLE {name} ({columns})"
    for table, columns in _COLUMNS.items()
    for name in [f"{identifier(STATE_SCHEMA)}.{identifier(table)}"]
)
# Two commands that start together must not both create the state tables. The lock ends with the transaction.
LOCK_STATE_TABLES = (
    "DECLARE @held integer; EXEC @held = sp_getapplock @Resource = N'dapkit sync state', @LockMode = N'Exclusive',"
    " @LockOwner = N'Transaction', @LockTimeout = 600000;"
    " IF @held < 0 RAISERROR(N'Lock request time out period exceeded.', 16, 1)"
)
# A session holds a lock on the name of its staging table. A table whose lock is free was left by a killed process.
DROP_LEFTOVERS = f"""
DECLARE @name nvarchar(128) = N'', @held integer, @drop nvarchar(max);
WHILE 1 = 1
BEGIN
    SELECT @name = min(name) FROM sys.tables WHERE schema_id = SCHEMA_ID(N'{STATE_SCHEMA}')
        AND name LIKE N'{STAGING_PREFIX.replace("_", "[_]")}%' AND name > @name;
    IF @name IS NULL BREAK;
    EXEC @held = sp_getapplock @Resource = @name, @LockMode = N'Exclusive', @LockOwner = N'Transaction',
        @LockTimeout = 0;
    IF @held < 0 CONTINUE;
    SET @drop = N'DROP TABLE IF EXISTS "{STATE_SCHEMA}".' + QUOTENAME(@name);
    EXEC(@drop);
END
"""
