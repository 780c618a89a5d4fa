"""Results in an output folder, written without a service: raw with manifests, flat with states."""

from datetime import timedelta
from pathlib import Path

from dapkit.export.stored_results import StoredResult, Unusable, flat_result, raw_result
from dapkit.model import FlatFormat, Format, Mode, Nested, format_utc, utc_time
from dapkit.storage.local import LocalFolder
from dapkit.tables.flat_files import FlatState, flat_path, write_sidecar
from dapkit.transfer import manifest
from dapkit.transfer.manifest import Manifest, ManifestObject

CONTENT = b"id\n1\n"


def day(number: float) -> str:
    """Return a time in August 2026; day 0 is the first."""
    return format_utc(utc_time("2026-08-01T00:00:00Z") + timedelta(days=number))


def write_raw(
    output: Path,
    name: str,
    *,
    at: float | None = None,
    since: float = 0,
    until: float = 0,
    namespace: str = "canvas",
    mode: Mode | None = None,
    completed: float | None = None,
) -> StoredResult:
    """Write a raw result of table `users` with one file, and return it. Times are days."""
    folder = output / f"job_{name}"
    folder.mkdir(parents=True)
    (folder / "part.jsonl.gz").write_bytes(CONTENT)
    item = ManifestObject(
        id="o", name="part.jsonl.gz", size=len(CONTENT), sha256="", rows=1, verified_by=("crc",)
    )  # fmt: skip
    end = until if at is None else at
    content = Manifest(
        written_by="dapkit", service="s", sandbox=False, scope=None, namespace=namespace, table="users",
        format=Format.JSONL, mode=mode, job_id=name, schema_version=1,
        at=None if at is None else day(at),
        since=day(since) if at is None else None,
        until=day(until) if at is None else None,
        rows=1, bytes=len(CONTENT), objects=(item,), completed_at=day(end if completed is None else completed),
    )  # fmt: skip
    manifest.write(LocalFolder(folder), content)
    return complete(raw_result(folder))


def write_flat(
    output: Path,
    *,
    at: float | None = None,
    since: float = 0,
    until: float = 0,
    namespace: str = "canvas",
    table: str = "users",
) -> StoredResult:
    """Write a flat CSV file with its sidecar, and return it. Times are days."""
    state = FlatState(
        written_by="dapkit", service="s", sandbox=False, scope=None, namespace=namespace, table=table,
        format=FlatFormat.CSV, nested=Nested.STRUCT, ts=False, downloaded_as=Format.JSONL, job_id="j",
        schema_version=1,
        at=None if at is None else day(at),
        since=day(since) if at is None else None,
        until=day(until) if at is None else None,
        rows=1, verified_by="crc", completed_at=day(until if at is None else at),
    )  # fmt: skip
    path = flat_path(output, state)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    write_sidecar(path, state)
    return complete(flat_result(path))


def complete(result: StoredResult | Unusable | None) -> StoredResult:
    """Return a result that must be complete."""
    assert isinstance(result, StoredResult), result
    return result
