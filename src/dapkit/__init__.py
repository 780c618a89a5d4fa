"""Canvas data from Instructure's Data Access Platform: command, library and sandbox.

Importing this package imports nothing but `typing`: each public name is imported when it is first used. The command
relies on that, because Ctrl-C during a long import would end in a traceback.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dapkit.api.async_client import AsyncClient
    from dapkit.api.client import Client, reconcile, sync
    from dapkit.api.doctor import DoctorResult
    from dapkit.api.frames import read, scan
    from dapkit.config.settings import ClientOptions
    from dapkit.decode.jsonl import Record
    from dapkit.describe.run import DescribeResult
    from dapkit.display.listener import ProgressDisplay
    from dapkit.errors import DapError
    from dapkit.export.options import ExportOptions, FlatOptions
    from dapkit.export.prune import PruneResult
    from dapkit.export.run_result import RunResult
    from dapkit.export.schemas import SchemasResult
    from dapkit.export.stored_results import FolderResults, StoredResult
    from dapkit.export.verify import VerifyResult
    from dapkit.failures import TableFailed
    from dapkit.model import Format, Job, JobStatus, Mode, Query, VersionedSchema
    from dapkit.replication.listing import DatabaseListing
    from dapkit.replication.managed_tables import DropResult
    from dapkit.replication.options import SyncOptions
    from dapkit.replication.reconcile import ReconcileResult
    from dapkit.replication.run import SyncResult
    from dapkit.results import TableResult
    from dapkit.tables.frame import Frame
    from dapkit.targets.base import BadValues, LoadOptions

_HOMES = {
    "AsyncClient": "dapkit.api.async_client",
    "BadValues": "dapkit.targets.base",
    "Client": "dapkit.api.client",
    "ClientOptions": "dapkit.config.settings",
    "DapError": "dapkit.errors",
    "DatabaseListing": "dapkit.replication.listing",
    "DescribeResult": "dapkit.describe.run",
    "DoctorResult": "dapkit.api.doctor",
    "DropResult": "dapkit.replication.managed_tables",
    "ExportOptions": "dapkit.export.options",
    "FlatOptions": "dapkit.export.options",
    "FolderResults": "dapkit.export.stored_results",
    "Format": "dapkit.model",
    "Frame": "dapkit.tables.frame",
    "Job": "dapkit.model",
    "JobStatus": "dapkit.model",
    "LoadOptions": "dapkit.targets.base",
    "Mode": "dapkit.model",
    "ProgressDisplay": "dapkit.display.listener",
    "PruneResult": "dapkit.export.prune",
    "Query": "dapkit.model",
    "ReconcileResult": "dapkit.replication.reconcile",
    "Record": "dapkit.decode.jsonl",
    "RunResult": "dapkit.export.run_result",
    "SchemasResult": "dapkit.export.schemas",
    "StoredResult": "dapkit.export.stored_results",
    "SyncOptions": "dapkit.replication.options",
    "SyncResult": "dapkit.replication.run",
    "TableFailed": "dapkit.failures",
    "TableResult": "dapkit.results",
    "VerifyResult": "dapkit.export.verify",
    "VersionedSchema": "dapkit.model",
    "read": "dapkit.api.frames",
    "reconcile": "dapkit.api.client",
    "scan": "dapkit.api.frames",
    "sync": "dapkit.api.client",
}

__all__ = [
    "AsyncClient",
    "BadValues",
    "Client",
    "ClientOptions",
    "DapError",
    "DatabaseListing",
    "DescribeResult",
    "DoctorResult",
    "DropResult",
    "ExportOptions",
    "FlatOptions",
    "FolderResults",
    "Format",
    "Frame",
    "Job",
    "JobStatus",
    "LoadOptions",
    "Mode",
    "ProgressDisplay",
    "PruneResult",
    "Query",
    "ReconcileResult",
    "Record",
    "RunResult",
    "SchemasResult",
    "StoredResult",
    "SyncOptions",
    "SyncResult",
    "TableFailed",
    "TableResult",
    "VerifyResult",
    "VersionedSchema",
    "read",
    "reconcile",
    "scan",
    "sync",
]


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415, see the module

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value  # completion and a second use need no second lookup
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
