"""The manifest of a job folder: written when the folder is complete, read by later runs, `verify` and `--since FOLDER`.

`.manifest.json` is written last. If it exists, all files that it names were verified, flushed and renamed before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dapkit.errors import ManifestError
from dapkit.model import Format, Job, Mode, epoch_seconds
from dapkit.storage.base import Folder
from dapkit.storage.local import LocalFolder

NAME = ".manifest.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSource:
    """Where rows come from and how they are written. An increment can only continue a result of the same source."""

    service: str
    scope: str | None
    namespace: str
    format: Format
    mode: Mode


class ManifestObject(msgspec.Struct, frozen=True, kw_only=True):
    """One complete file: the object's id, the name in this folder, size in bytes, and the checks that it passed."""

    id: str
    name: str
    size: int
    sha256: str
    rows: int | None
    verified_by: tuple[str, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a job folder. `at` is the time of a snapshot, `since` and `until` those of an increment, as sent."""

    manifest: int = VERSION
    written_by: str
    service: str
    sandbox: bool
    scope: str | None
    namespace: str
    table: str
    format: Format
    mode: Mode | None
    job_id: str
    schema_version: int | None
    at: str | None
    since: str | None
    until: str | None
    rows: int | None
    bytes: int
    objects: tuple[ManifestObject, ...]
    completed_at: str

    @property
    def watermark(self) -> str | None:
        """The time at which the next increment starts."""
        return self.at if self.at is not None else self.until

    @property
    def source(self) -> ExportSource:
        """Where its rows come from and how they are written."""
        return ExportSource(
            service=self.service,
            scope=self.scope,
            namespace=self.namespace,
            format=self.format,
            mode=self.mode or Mode.EXPANDED,
        )

    @property
    def verified_by(self) -> str:
        """The checks that every file passed, joined by `+`, the strongest first; `empty` for no file at all."""
        if not self.objects:
            return "empty"
        checks = ("checksum", "crc", "structure", "length")
        common = [check for check in checks if all(check in item.verified_by for item in self.objects)]
        return "+".join(common) or "none"


_decoder = msgspec.json.Decoder(Manifest)


def write(folder: Folder, manifest: Manifest) -> None:
    """Write the manifest of a complete folder, durably."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    folder.replace(NAME, content + b"\n")


def read(folder: Folder) -> Manifest | None:
    """Return the folder's manifest, or None if it has none.

    Raises:
        ManifestError: the manifest cannot be read, or a later version wrote it.
    """
    path = f"{folder}/{NAME}"
    try:
        with folder.open(NAME) as file:
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    try:
        manifest = _decoder.decode(content)
    except msgspec.DecodeError as error:
        hint = "Delete the damaged manifest and run the command again: it verifies the files next to it."
        raise ManifestError(f"{path} is damaged: {error}", hint=hint) from error
    if manifest.manifest > VERSION:
        raise ManifestError(
            f"{path} has version {manifest.manifest}, but this dapkit supports versions up to {VERSION}",
            hint="Use the version of dapkit that wrote it, or a later one.",
        )
    return manifest


def folders(output: Path) -> Iterator[LocalFolder]:
    """Yield the job folders in an output folder that have a manifest, sorted by name."""
    for path in sorted(output.glob(f"job_*/{NAME}")):
        yield LocalFolder(path.parent)


def has_all_files(folder: Folder, manifest: Manifest) -> bool:
    """Return whether all files of the manifest exist with the right size. Their content is not read."""
    return all(has_file(folder, item) for item in manifest.objects)


def has_file(folder: Folder, item: ManifestObject) -> bool:
    """Return whether a file exists with the right size."""
    try:
        return folder.size(item.name) == item.size
    except OSError:
        return False


def difference(manifest: Manifest, source: ExportSource, table: str, job: Job) -> str | None:
    """Return how a manifest differs from the result that this job of a table describes, or None.

    The scope is not compared: if the service returns the same job for another scope, the result is the same.
    """
    found = manifest.source
    pairs = (
        ("service", found.service, source.service),
        ("namespace", found.namespace, source.namespace),
        ("table", manifest.table, table),
        ("format", found.format, source.format),
        ("mode", found.mode, source.mode),
        ("at", _comparable(manifest.at), _comparable(job.at_text)),
        ("since", _comparable(manifest.since), _comparable(job.since_text)),
        ("until", _comparable(manifest.until), _comparable(job.until_text)),
    )
    return next((f"{name} {actual} instead of {wanted}" for name, actual, wanted in pairs if actual != wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermarks:
    """The latest watermark of each table in a folder, as sent by the service, and notices about skipped results."""

    by_table: Mapping[str, str]
    notices: tuple[str, ...]


def latest_watermarks(output: Path, source: ExportSource) -> Watermarks:
    """Return the latest watermark of each table, from the complete results in a folder.

    Only results of the same source count, and only if all their files exist. A result with a damaged manifest is
    skipped: the table's next increment then starts at the result before, which is safe.
    """
    latest: dict[str, tuple[float, str]] = {}
    notices: list[str] = []
    for folder in folders(output):
        try:
            manifest = read(folder)
        except ManifestError as error:
            notices.append(f"{error.message}. It is skipped.")
            continue
        watermark = manifest.watermark if manifest is not None else None
        if manifest is None or watermark is None or manifest.source != source or not has_all_files(folder, manifest):
            continue
        try:
            time = epoch_seconds(watermark)
        except ValueError:
            notices.append(f"{folder}/{NAME} has an invalid watermark: {watermark[:40]!r}. It is skipped.")
            continue
        if manifest.table not in latest or time > latest[manifest.table][0]:
            latest[manifest.table] = (time, watermark)
    return Watermarks(by_table={table: watermark for table, (_, watermark) in latest.items()}, notices=tuple(notices))


def _comparable(text: str | None) -> float | str | None:
    """Return a form of a time in which different spellings of the same time are equal."""
    try:
        return None if text is None else epoch_seconds(text)
    except ValueError:
        return text
