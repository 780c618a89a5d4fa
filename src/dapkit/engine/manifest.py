"""What one job delivered, written into its folder when it is whole, and read back by verify and `--since FOLDER`.

The file `job_<id>/.manifest.json` is the last thing written: where it stands, everything that it names was checked,
flushed and renamed before.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from dapkit.engine.durable import replace_file
from dapkit.errors import ManifestError
from dapkit.model import Format, Mode

NAME = ".manifest.json"
VERSION = 1


class ManifestObject(msgspec.Struct, frozen=True, kw_only=True):
    """One file: the object's id, its name beside the manifest, bytes, digest, rows, and the checks it passed."""

    id: str
    name: str
    size: int
    sha256: str
    rows: int | None
    proven: tuple[str, ...]


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
    def proven(self) -> str:
        """The checks that every file passed, joined by `+`, the strongest first; `empty` for no file at all."""
        if not self.objects:
            return "empty"
        checks = ("checksum", "crc", "structure", "length")
        common = [check for check in checks if all(check in item.proven for item in self.objects)]
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


def latest_watermarks(output: Path, service: str, scope: str | None, namespace: str) -> dict[str, str]:
    """Return for each table the latest watermark, verbatim, of its whole results under a folder.

    Only results of the same service, scope and namespace count, and only those whose files are still there.
    """
    best: dict[str, tuple[datetime, str]] = {}
    for folder in folders(output):
        manifest = read(folder)
        if manifest is None or (manifest.service, manifest.scope) != (service, scope):
            continue
        mark = manifest.watermark
        if manifest.namespace != namespace or mark is None or not present(folder, manifest):
            continue
        try:
            when = datetime.fromisoformat(mark)
        except ValueError:
            raise ManifestError(f"{folder / NAME} holds a watermark that is no date: {mark[:40]!r}") from None
        known = best.get(manifest.table)
        if known is None or when > known[0]:
            best[manifest.table] = (when, mark)
    return {table: mark for table, (_, mark) in best.items()}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
