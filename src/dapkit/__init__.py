"""Canvas data out of Instructure's Data Access Platform: command, library and sandbox.

Importing this package does no work, and imports nothing, since Ctrl-C would end in a traceback meanwhile: each public
name is bound when it is first used.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False

if TYPE_CHECKING:
    from dapkit.api.async_client import AsyncClient, ClientOptions, Delivery, SyncOptions
    from dapkit.api.client import Client, reconcile, sync
    from dapkit.decode.jsonl import Record
    from dapkit.errors import DapError
    from dapkit.model import Format, Job, JobStatus, Mode, Query, VersionedSchema
    from dapkit.replication.reconcile import ReconcileResult
    from dapkit.replication.run import SyncResult
    from dapkit.results import RunResult, TableResult

_HOMES = {
    "AsyncClient": "dapkit.api.async_client",
    "Client": "dapkit.api.client",
    "ClientOptions": "dapkit.api.async_client",
    "DapError": "dapkit.errors",
    "Delivery": "dapkit.api.async_client",
    "Format": "dapkit.model",
    "Job": "dapkit.model",
    "JobStatus": "dapkit.model",
    "Mode": "dapkit.model",
    "Query": "dapkit.model",
    "ReconcileResult": "dapkit.replication.reconcile",
    "Record": "dapkit.decode.jsonl",
    "RunResult": "dapkit.results",
    "SyncOptions": "dapkit.api.async_client",
    "SyncResult": "dapkit.replication.run",
    "TableResult": "dapkit.results",
    "VersionedSchema": "dapkit.model",
    "reconcile": "dapkit.api.client",
    "sync": "dapkit.api.client",
}

__all__ = [
    "AsyncClient",
    "Client",
    "ClientOptions",
    "DapError",
    "Delivery",
    "Format",
    "Job",
    "JobStatus",
    "Mode",
    "Query",
    "ReconcileResult",
    "Record",
    "RunResult",
    "SyncOptions",
    "SyncResult",
    "TableResult",
    "VersionedSchema",
    "reconcile",
    "sync",
]


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415, see the module

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
