"""The JSON that the commands print with `--json`, as types.

The documentation is generated from these types, and a test in tests/docs decodes the output of each command with them.
Unknown and missing fields are errors there, so the types and the commands cannot diverge.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Namespace = Annotated[str, Meta(description="Namespace of the tables.")]
Table = Annotated[str, Meta(description="Name of the table.")]
ExitCode = Annotated[int, Meta(description="Exit code of the command.")]
Target = Annotated[str, Meta(description="URL of the database, without user and password.")]
Sandbox = Annotated[bool, Meta(description="Whether the data comes from the sandbox.")]
Seconds = Annotated[float, Meta(description="Duration of the run in seconds.")]
Watermark = Annotated[str, Meta(description="Time up to which the table matches the service (UTC).")]


class _Object(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Error(_Object, frozen=True, kw_only=True):
    """An error."""

    code: Annotated[str, Meta(description="Error code.")]
    message: Annotated[str, Meta(description="What happened.")]
    hint: Annotated[str | None, Meta(description="What to do.")]
    table: Annotated[str | None, Meta(description="The table that the error concerns.")]
    job_id: Annotated[str | None, Meta(description="The service's job that the error concerns.")]
    uuid: Annotated[str | None, Meta(description="The service's identifier of the error, for Instructure support.")]
    retryable: Annotated[bool, Meta(description="Whether the same command may succeed later.")]
    exit_code: Annotated[int, Meta(description="Exit code of a command that ends with this error.")]


Failed = Annotated[tuple[Error, ...], Meta(description="The tables that failed, each with its error.")]


class Query(_Object, frozen=True, kw_only=True):
    """What was requested of the service."""

    format: Annotated[str, Meta(description="File format.")]
    mode: Annotated[str | None, Meta(description="`expanded` or `condensed`; null: the service's default, `expanded`.")]
    since: Annotated[str | None, Meta(description="Start of an incremental; null if each table has its own.")]
    until: Annotated[str | None, Meta(description="End of an incremental.")]


class ExportedTable(_Object, frozen=True, kw_only=True):
    """A complete table."""

    table: Table
    job_id: Annotated[str, Meta(description="The service's job.")]
    folder: Annotated[str, Meta(description="Folder that contains the files.")]
    files: Annotated[int, Meta(description="Number of files.")]
    bytes: Annotated[int, Meta(description="Size of all files.")]
    rows: Annotated[int | None, Meta(description="Number of rows; null if they could not be counted.")]
    schema_version: Annotated[int | None, Meta(description="Version of the table's schema that the rows follow.")]
    at: Annotated[str | None, Meta(description="Time that a snapshot shows, as sent by the service.")]
    since: Annotated[str | None, Meta(description="Start of an incremental (UTC).")]
    until: Annotated[str | None, Meta(description="End of an incremental, as sent by the service.")]
    verified_by: Annotated[
        str,
        Meta(
            description="Checks that every file passed, joined by `+`: `checksum`, `crc`, `structure`, `length`; "
            "`none`, or `empty` if there are no files."
        ),
    ]
    reused: Annotated[bool, Meta(description="Whether all files had already been downloaded.")]


class Export(_Object, frozen=True, kw_only=True):
    """The result of `dap snapshot` and `dap incremental`."""

    command: Annotated[Literal["snapshot", "incremental"], Meta(description="The command.")]
    status: Annotated[
        Literal["complete", "partial", "failed"],
        Meta(description="`complete`: all tables are complete; `partial`: some failed; `failed`: all failed."),
    ]
    exit_code: ExitCode
    namespace: Namespace
    query: Annotated[Query, Meta(description="What was requested.")]
    output: Annotated[str, Meta(description="The output folder.")]
    sandbox: Sandbox
    tables: Annotated[tuple[ExportedTable, ...], Meta(description="The complete tables.")]
    failed: Failed
    rows: Annotated[int, Meta(description="Total number of rows.")]
    files: Annotated[int, Meta(description="Total number of files.")]
    bytes: Annotated[int, Meta(description="Total size of the files.")]
    fetched_bytes: Annotated[int, Meta(description="Bytes received over the network.")]
    refetched_bytes: Annotated[int, Meta(description="Bytes of these that were received a second time.")]
    seconds: Seconds
    notices: Annotated[tuple[str, ...], Meta(description="Other messages worth knowing.")]


class ExportPreview(_Object, frozen=True, kw_only=True):
    """With `--dry-run`."""

    command: Annotated[Literal["snapshot", "incremental"], Meta(description="The command.")]
    status: Annotated[Literal["dry-run"], Meta(description="Always `dry-run`.")]
    namespace: Namespace
    query: Annotated[Query, Meta(description="What would be requested.")]
    output: Annotated[str, Meta(description="The output folder.")]
    tables: Annotated[tuple[str, ...], Meta(description="The selected tables.")]
    complete: Annotated[tuple[str, ...], Meta(description="Tables that are already complete.")]
    no_earlier_result: Annotated[
        tuple[str, ...],
        Meta(description="With `--since FOLDER`: tables that would fail because the folder has no result of them."),
    ]
    since: Annotated[dict[str, str], Meta(description="With `--since FOLDER`: the start of each table's incremental.")]
    interrupted_seconds_ago: Annotated[
        float | None, Meta(description="Age of the interrupted run that would be resumed; null if there is none.")
    ]


class SyncedTable(_Object, frozen=True, kw_only=True):
    """A table that was synced."""

    table: Table
    action: Annotated[
        Literal["initial-load", "incremental", "full-refresh", "repair", "skip"],
        Meta(
            description="`initial-load`: first load; `incremental`: changes applied; `full-refresh`: new snapshot "
            "merged; `repair`: half-loaded table reloaded; `skip`: nothing new, or younger "
            "than `--if-stale`."
        ),
    ]
    written: Annotated[int, Meta(description="Rows inserted or updated.")]
    deleted: Annotated[int, Meta(description="Rows deleted.")]
    expired: Annotated[int, Meta(description="Log rows deleted because of `--expire-logs`.")]
    repaired: Annotated[dict[str, int], Meta(description="Number of repaired values by column.")]
    watermark: Watermark
    schema_version: Annotated[int, Meta(description="Version of the schema that the table follows.")]


class MissingTable(_Object, frozen=True, kw_only=True):
    """A table in the database that the service no longer offers."""

    table: Table
    watermark: Watermark


NoLongerInService = Annotated[
    tuple[MissingTable, ...], Meta(description="Tables in the database that the service no longer offers.")
]


class Sync(_Object, frozen=True, kw_only=True):
    """The result of `dap sync`, `dap initdb` and `dap syncdb`."""

    command: Annotated[Literal["sync", "initdb", "syncdb"], Meta(description="The command.")]
    exit_code: ExitCode
    namespace: Namespace
    target: Target
    repaired_values_folder: Annotated[str, Meta(description="Folder for the original values of repaired ones.")]
    sandbox: Sandbox
    seconds: Seconds
    tables: Annotated[tuple[SyncedTable, ...], Meta(description="The tables that are up to date.")]
    no_longer_in_service: NoLongerInService
    failed: Failed


class PlannedTable(_Object, frozen=True, kw_only=True):
    """With `--dry-run`, the result is an array with one object per table."""

    table: Table
    action: Annotated[str | None, Meta(description="What would be done; null if the table would fail.")]
    since: Annotated[str | None, Meta(description="Start of the incremental.")]
    ddl: Annotated[tuple[str, ...], Meta(description="SQL statements that would create or alter the table.")]
    expire_before: Annotated[str | None, Meta(description="Log rows before this time would be deleted.")]
    error: Annotated[Error | None, Meta(description="Why the table would fail.")]


class DifferingValue(_Object, frozen=True, kw_only=True):
    """A value that differs."""

    key: Annotated[str, Meta(description="Key of the row; the parts of a composite key are joined by `/`.")]
    column: Annotated[str, Meta(description="The column.")]
    actual: Annotated[str | None, Meta(description="The value in the database.")]
    expected: Annotated[str | None, Meta(description="The value in the service.")]


class ComparedTable(_Object, frozen=True, kw_only=True):
    """A table that was compared."""

    table: Table
    equal: Annotated[bool, Meta(description="Whether no difference was found.")]
    watermark: Watermark
    rows: Annotated[int, Meta(description="Rows of the table in the database.")]
    compared: Annotated[int, Meta(description="Rows whose values were compared.")]
    columns_not_compared: Annotated[tuple[str, ...], Meta(description="Columns that were not compared.")]
    missing: Annotated[int, Meta(description="Rows that are only in the service.")]
    extra: Annotated[int, Meta(description="Rows that are only in the database.")]
    repeated: Annotated[int, Meta(description="Keys that are in the database more than once.")]
    differing: Annotated[dict[str, int], Meta(description="By column: rows whose value differs.")]
    missing_keys: Annotated[tuple[str, ...], Meta(description="Some of the missing keys.")]
    extra_keys: Annotated[tuple[str, ...], Meta(description="Some of the extra keys.")]
    repeated_keys: Annotated[tuple[str, ...], Meta(description="Some of the repeated keys.")]
    values: Annotated[tuple[DifferingValue, ...], Meta(description="Some of the values that differ.")]


class Reconcile(_Object, frozen=True, kw_only=True):
    """The result of `dap reconcile`."""

    command: Annotated[Literal["reconcile"], Meta(description="The command.")]
    exit_code: ExitCode
    namespace: Namespace
    target: Target
    sandbox: Sandbox
    tables: Annotated[tuple[ComparedTable, ...], Meta(description="The tables that were compared.")]
    no_longer_in_service: NoLongerInService
    failed: Failed


class LastResult(_Object, frozen=True, kw_only=True):
    """The last entry of a table's history."""

    event: Annotated[str, Meta(description="What was done: see [History](#history).")]
    at: Annotated[str, Meta(description="When (UTC).")]
    written: Annotated[int | None, Meta(description="Rows inserted or updated.")]
    deleted: Annotated[int | None, Meta(description="Rows deleted.")]
    code: Annotated[str | None, Meta(description="Error code of a failure.")]
    message: Annotated[str | None, Meta(description="Error message of a failure.")]


class ListedTable(_Object, frozen=True, kw_only=True):
    """The result is an array with one object per table; most fields are null for a table not in the database."""

    name: Table
    timestamp: Annotated[str | None, Meta(description="Watermark in local time.")]
    staleness: Annotated[str | None, Meta(description="Age of the data, such as `3h 5m`.")]
    schema: Annotated[int | None, Meta(description="Version of the table's schema.")]
    command: Annotated[Literal["syncdb", "initdb"], Meta(description="Command that loads or updates the table.")]
    records: Annotated[
        int | UnsetType | None, Meta(description="Number of rows; absent with `--omit-record-count`.")
    ] = UNSET
    bytes: Annotated[int | None, Meta(description="Size; null if the database does not report it.")]
    last_result: Annotated[LastResult | None, Meta(description="The last result; null if there is none.")]
    kept_columns: Annotated[
        tuple[str, ...] | None, Meta(description="Columns of the table that its schema does not have.")
    ]


class Drop(_Object, frozen=True, kw_only=True):
    """The result of `dap dropdb`."""

    command: Annotated[Literal["dropdb"], Meta(description="The command.")]
    exit_code: ExitCode
    target: Target
    dropped: Annotated[tuple[str, ...], Meta(description="The tables that were dropped.")]
    failed: Failed


class SavedSchema(_Object, frozen=True, kw_only=True):
    """A schema that was saved."""

    table: Table
    version: Annotated[int, Meta(description="Version of the schema.")]
    path: Annotated[str, Meta(description="The file.")]


class Schemas(_Object, frozen=True, kw_only=True):
    """The result of `dap schema`."""

    command: Annotated[Literal["schema"], Meta(description="The command.")]
    exit_code: ExitCode
    namespace: Namespace
    schemas: Annotated[tuple[SavedSchema, ...], Meta(description="The schemas that were saved.")]
    failed: Failed


class DescribedField(_Object, frozen=True, kw_only=True):
    """A field of a column that contains objects."""

    name: Annotated[str, Meta(description="Name of the field.")]
    type: Annotated[str, Meta(description="Type in the terms of the service.")]
    nullable: Annotated[bool, Meta(description="Whether it may be null.")]
    meaning: Annotated[str, Meta(description="Description in the schema; empty if there is none.")]
    values: Annotated[tuple[str, ...], Meta(description="Values of an enum.")]
    truncatable: Annotated[bool, Meta(description="Whether the service truncates texts that are too long.")]
    fields: Annotated[tuple[dict[str, Any], ...], Meta(description="Its own fields, if it contains objects.")]


class DescribedColumn(_Object, frozen=True, kw_only=True):
    """A column."""

    name: Annotated[str, Meta(description="Name of the column.")]
    type: Annotated[
        str,
        Meta(description="[Type](describe.md#types) in the terms of the service, such as `int64` or `text(255)`."),
    ]
    nullable: Annotated[bool, Meta(description="Whether it may be null.")]
    meaning: Annotated[str, Meta(description="Description in the schema; empty if there is none.")]
    values: Annotated[
        tuple[str, ...],
        Meta(description="Values of an enum, without `__dap_unspecified__`, which any enum may contain."),
    ]
    truncatable: Annotated[bool, Meta(description="Whether the service truncates texts that are too long.")]
    fields: Annotated[tuple[DescribedField, ...], Meta(description="Fields, if the column contains objects.")]


class ReferredKey(_Object, frozen=True, kw_only=True):
    """A key that a column refers to."""

    table: Annotated[str, Meta(description="Table with its namespace.")]
    column: Annotated[str | None, Meta(description="Its key; null if the columns of this table are not known.")]


class TableReference(_Object, frozen=True, kw_only=True):
    """A column that contains the key of another table."""

    table: Annotated[str, Meta(description="Table that has the column, with its namespace.")]
    column: Annotated[str, Meta(description="The column.")]
    nullable: Annotated[bool, Meta(description="Whether it may be null.")]
    key: Annotated[bool, Meta(description="Whether it is the key of `table`.")]
    targets: Annotated[
        tuple[ReferredKey, ...],
        Meta(description="What it refers to; if there are several, another column says which one applies to a row."),
    ]


class DescribedTable(_Object, frozen=True, kw_only=True):
    """A table."""

    namespace: Namespace
    table: Table
    version: Annotated[int, Meta(description="Version of its schema.")]
    meaning: Annotated[str, Meta(description="Title of its schema; empty if there is none.")]
    key: Annotated[tuple[str, ...], Meta(description="Columns of its key.")]
    columns: Annotated[tuple[DescribedColumn, ...], Meta(description="All columns, those of the key first.")]
    references: Annotated[tuple[TableReference, ...], Meta(description="Columns that contain keys of other tables.")]
    referenced_by: Annotated[
        tuple[TableReference, ...], Meta(description="Columns of other tables, and its own, that contain its key.")
    ]


class Describe(_Object, frozen=True, kw_only=True):
    """The result of `dap describe`."""

    command: Annotated[Literal["describe"], Meta(description="The command.")]
    exit_code: ExitCode
    tables: Annotated[tuple[DescribedTable, ...], Meta(description="The tables.")]
    failed: Failed


class VerificationProblem(_Object, frozen=True, kw_only=True):
    """A problem that `dap verify` found."""

    path: Annotated[str, Meta(description="The file or folder.")]
    message: Annotated[str, Meta(description="What is wrong.")]


class Verify(_Object, frozen=True, kw_only=True):
    """The result of `dap verify`."""

    folder: Annotated[str, Meta(description="The folder that was checked.")]
    jobs: Annotated[int, Meta(description="Number of complete job folders.")]
    flat: Annotated[int, Meta(description="Number of flat files.")]
    files: Annotated[int, Meta(description="Number of files that were checked.")]
    bytes: Annotated[int, Meta(description="Their size.")]
    problems: Annotated[tuple[VerificationProblem, ...], Meta(description="The problems.")]
    incomplete: Annotated[tuple[str, ...], Meta(description="Folders without a manifest.")]
    removed: Annotated[
        tuple[str, ...], Meta(description="Damaged files, and their manifests and states, that were deleted.")
    ]


class StoredResult(_Object, frozen=True, kw_only=True):
    """A complete result in a folder."""

    namespace: Namespace
    table: Table
    kind: Annotated[Literal["snapshot", "changes"], Meta(description="Whether it is a snapshot, or changes.")]
    form: Annotated[Literal["raw", "flat"], Meta(description="Raw files of the service, or a flat file.")]
    format: Annotated[str, Meta(description="File format.")]
    mode: Annotated[str | None, Meta(description="Mode of raw files; null for a flat file.")]
    at: Annotated[str | None, Meta(description="Time that a snapshot shows, as sent by the service.")]
    since: Annotated[str | None, Meta(description="Start of changes, as sent by the service.")]
    until: Annotated[str | None, Meta(description="End of changes, as sent by the service.")]
    rows: Annotated[int | None, Meta(description="Number of rows; null if they could not be counted.")]
    bytes: Annotated[int, Meta(description="Size of the files.")]
    path: Annotated[str, Meta(description="Folder of raw files, or the flat file.")]
    files: Annotated[int, Meta(description="Number of files, with the one that holds the state of a flat file.")]
    job_id: Annotated[str, Meta(description="The service's job.")]
    schema_version: Annotated[int | None, Meta(description="Version of the table's schema that the rows follow.")]
    completed_at: Annotated[str, Meta(description="When the result was complete, by this machine's clock (UTC).")]
    sandbox: Sandbox


class Unusable(_Object, frozen=True, kw_only=True):
    """A folder or file that is not a complete result, or cannot be deleted."""

    path: Annotated[str, Meta(description="The folder or file.")]
    message: Annotated[str, Meta(description="Why.")]


Incomplete = Annotated[
    tuple[Unusable, ...], Meta(description="Job folders and flat files that are not complete results.")
]
Folder = Annotated[str, Meta(description="The folder that was given.")]
DryRun = Annotated[bool, Meta(description="Whether nothing was deleted, because of `--dry-run`.")]


class FolderResults(_Object, frozen=True, kw_only=True):
    """The result of `dap results`."""

    folder: Folder
    results: Annotated[tuple[StoredResult, ...], Meta(description="The complete results.")]
    incomplete: Incomplete


class Prune(_Object, frozen=True, kw_only=True):
    """The result of `dap prune`."""

    folder: Folder
    dry_run: DryRun
    removed: Annotated[tuple[StoredResult, ...], Meta(description="The results that were deleted.")]
    bytes: Annotated[int, Meta(description="Their size.")]
    kept: Annotated[int, Meta(description="Number of complete results that remain.")]
    skipped: Annotated[
        tuple[Unusable, ...], Meta(description="Results that are no longer needed, but could not be deleted.")
    ]
    incomplete: Incomplete


class RemovedStage(_Object, frozen=True, kw_only=True):
    """A staging folder that was deleted."""

    path: Annotated[str, Meta(description="The folder.")]
    bytes: Annotated[int, Meta(description="Its size.")]


class PruneStage(_Object, frozen=True, kw_only=True):
    """With `--stage`."""

    folder: Folder
    dry_run: DryRun
    removed: Annotated[tuple[RemovedStage, ...], Meta(description="The staging folders that were deleted.")]
    bytes: Annotated[int, Meta(description="Their size.")]
    in_use: Annotated[tuple[str, ...], Meta(description="Staging folders that a run uses.")]


class Check(_Object, frozen=True, kw_only=True):
    """A check of `dap doctor`."""

    check: Annotated[str, Meta(description="What was checked.")]
    verdict: Annotated[Literal["ok", "warn", "fail", "skip"], Meta(description="The outcome.")]
    message: Annotated[str, Meta(description="What was found.")]
    hint: Annotated[str | None, Meta(description="What to do.")]


class Doctor(_Object, frozen=True, kw_only=True):
    """The result of `dap doctor`."""

    healthy: Annotated[bool, Meta(description="Whether no check failed.")]
    findings: Annotated[tuple[Check, ...], Meta(description="The checks.")]


RESULTS: dict[str, tuple[Any, ...]] = {
    "dap snapshot, dap incremental": (Export, ExportPreview),
    "dap sync, dap initdb, dap syncdb": (Sync, PlannedTable),
    "dap reconcile": (Reconcile,),
    "dap listdb": (ListedTable,),
    "dap dropdb": (Drop,),
    "dap schema": (Schemas,),
    "dap results": (FolderResults,),
    "dap describe": (Describe,),
    "dap verify": (Verify,),
    "dap prune": (Prune, PruneStage),
    "dap doctor": (Doctor,),
}
"""The types of each command's results. (`dap list` prints an array of names.)

The documentation shows the docstring of such a type unless it starts with "The result of".
"""
