"""What one job delivered, written into its folder when it is whole, and read back by verify and `--since FOLDER`.

The file `job_<id>/.manifest.json` is the last thing written: where it stands, everything that it names was checked,
flushed and renamed before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dapkit.errors import ManifestError
from dapkit.model import Format, Job, Mode, epoch_seconds
from dapkit.storage.atomic import replace_file

NAME = ".manifest.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSource:
    """Where rows come from and how they are written. Only results of one origin can go on from each other."""

    service: str
    scope: str | None
    namespace: str
    format: Format
    mode: Mode


class ManifestObject(msgspec.Struct, frozen=True, kw_only=True):
    """One file: the object's id, its name beside the manifest, bytes, digest, rows, and the checks it passed."""

    id: str
    name: str
    size: int
    sha256: str
    rows: int | None
    verified_by: tuple[str, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One job's delivery. `at` is a snapshot's watermark, `since` and `until` an increment's, verbatim."""

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
        """Where the next increment starts."""
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


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a whole folder, durably."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    replace_file(folder / NAME, content + b"\n")


def read(folder: Path) -> Manifest | None:
    """Return the folder's manifest, or None when it has none.

    Raises:
        ManifestError: it is there, but cannot be read or is of a later version.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    try:
        manifest = _decoder.decode(content)
    except msgspec.DecodeError as error:
        hint = "Remove the damaged manifest and run the command again: the files beside it are then proven anew."
        raise ManifestError(f"{path} is damaged: {error}", hint=hint) from error
    if manifest.manifest > VERSION:
        raise ManifestError(
            f"{path} is of version {manifest.manifest}, later than this dapkit knows",
            hint="Use the version of dapkit that wrote it, or a later one.",
        )
    return manifest


def folders(output: Path) -> Iterator[Path]:
    """Yield the job folders under an output folder that have a manifest, in the order of their names."""
    for path in sorted(output.glob(f"job_*/{NAME}")):
        yield path.parent


def present(folder: Path, manifest: Manifest) -> bool:
    """Return whether every file that the manifest names is there with the right size."""
    return all(_size(folder / item.name) == item.size for item in manifest.objects)


def difference(manifest: Manifest, source: ExportSource, table: str, job: Job) -> str | None:
    """Return in what a manifest differs from a table's result as this job describes it, or None.

    The scope does not count: the service's word that it is the same job is good enough there.
    """
    said = manifest.source
    pairs = (
        ("service", said.service, source.service),
        ("namespace", said.namespace, source.namespace),
        ("table", manifest.table, table),
        ("format", said.format, source.format),
        ("mode", said.mode, source.mode),
        ("at", _moment(manifest.at), _moment(job.at)),
        ("since", _moment(manifest.since), _moment(job.since)),
        ("until", _moment(manifest.until), _moment(job.until)),
    )
    return next((f"{name} {found} instead of {wanted}" for name, found, wanted in pairs if found != wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermarks:
    """The latest watermark of each table under a folder, verbatim, and what could not be counted, for a person."""

    marks: Mapping[str, str]
    notices: tuple[str, ...]


def latest_watermarks(output: Path, source: ExportSource) -> Watermarks:
    """Return for each table the latest watermark of its whole results under a folder.

    Only results of the same origin count, and only those whose files are still there. One whose manifest is damaged
    is left out: its table then goes on from the one before it, which is safe.
    """
    best: dict[str, tuple[float, str]] = {}
    notices: list[str] = []
    for folder in folders(output):
        try:
            manifest = read(folder)
        except ManifestError as error:
            notices.append(f"{error.message}; it is left out.")
            continue
        mark = manifest.watermark if manifest is not None else None
        if manifest is None or mark is None or manifest.source != source or not present(folder, manifest):
            continue
        try:
            when = epoch_seconds(mark)
        except ValueError:
            notices.append(f"{folder / NAME} holds a watermark that is no time, {mark[:40]!r}; it is left out.")
            continue
        if manifest.table not in best or when > best[manifest.table][0]:
            best[manifest.table] = (when, mark)
    return Watermarks(marks={table: mark for table, (_, mark) in best.items()}, notices=tuple(notices))


def _moment(text: str | None) -> float | str | None:
    """Return what is compared of a time, however it is written."""
    try:
        return None if text is None else epoch_seconds(text)
    except ValueError:
        return text


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
