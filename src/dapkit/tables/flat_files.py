"""Flat files: where each table's file is, and the state that it carries.

    <dir>/<namespace>/<table>.parquet                            a snapshot
    <dir>/<namespace>/<table>.changes/<since>--<until>.parquet   the changes of a time

The state (`FlatState`) is part of a Parquet file's metadata, so a rename replaces data and state at once. CSV and JSONL
have no metadata: theirs is in `<file>.state.json`, which names the size and SHA-256 of its file.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dapkit.errors import ManifestError, UnsafeNameError
from dapkit.model import FlatFormat, Format, Nested, format_utc, utc_time
from dapkit.storage.atomic import disk_errors, replace_file
from dapkit.storage.names import safe_name
from dapkit.tables.parquet_merge import read_metadata

KEY = "dapkit"
"""The key of the state in the metadata of Parquet files."""

CHANGES = ".changes"
SIDECAR = ".state.json"
VERSION = 1
_LONGEST = 180
_PIECE = 1 << 20


class FlatState(msgspec.Struct, frozen=True, kw_only=True):
    """What a flat file is: where its rows come from, and where the next increment starts.

    `format` is that of the file, `downloaded_as` that of the job. Times are as the service sent them. `size` and
    `sha256` are those of the file next to a sidecar; None inside a Parquet file.
    """

    flat: int = VERSION
    written_by: str
    service: str
    sandbox: bool
    scope: str | None
    namespace: str
    table: str
    format: FlatFormat
    nested: Nested
    ts: bool
    downloaded_as: Format
    job_id: str
    schema_version: int | None
    at: str | None
    since: str | None
    until: str | None
    rows: int
    verified_by: str
    completed_at: str
    size: int | None = None
    sha256: str | None = None

    @property
    def watermark(self) -> str | None:
        """The time at which the next increment starts."""
        return self.at if self.at is not None else self.until

    def same_result(self, other: "FlatState") -> bool:
        """Whether both have the rows of the same job, written in the same way."""
        mine, others = ((each.job_id, each.table, each.format, each.nested, each.ts) for each in (self, other))
        return mine == others


_decoder = msgspec.json.Decoder(FlatState)


def flat_path(output: Path, state: FlatState) -> Path:
    """Return where a flat file belongs. Raises UnsafeNameError if a name cannot be part of a path."""
    for name in (state.namespace, state.table):
        if not name or len(name) > _LONGEST or safe_name(name, _LONGEST) != name:
            shown = name[:80].encode("unicode_escape").decode("ascii")
            message = f"The name {shown!r} of a namespace or table cannot be part of a file name"
            raise UnsafeNameError(message, hint="Names of the service consist of letters, digits and underscores.")
    folder = output / state.namespace
    if state.since is None:
        return folder / f"{state.table}.{state.format}"
    span = "--".join(_compact(time) for time in (state.since, state.until or ""))
    return folder / f"{state.table}{CHANGES}" / f"{span}.{state.format}"


def flat_lock(output: Path, namespace: str, table: str) -> Path:
    """Return the lock that a process holds while it writes or deletes the flat files of a table."""
    return output / ".dap" / "locks" / f"flat_{safe_name(namespace, 80)}.{safe_name(table, 160)}.lock"


def _compact(time: str) -> str:
    """Return a time as part of a file name: 20260801T000000Z."""
    try:
        return re.sub(r"[-:]", "", format_utc(utc_time(time)))
    except ValueError:
        return safe_name(time, 40)


def read_state(path: Path) -> FlatState | None:
    """Return the state of a flat file; None if the file does not exist or is not one of ours.

    Of a file with a sidecar, the size is compared, but not the SHA-256; see `is_intact`.

    Raises:
        ManifestError: a later version wrote it.
        OutputError: it cannot be read.
    """
    with disk_errors(path):
        if not path.is_file():
            return None
        size = path.stat().st_size
    state = recorded_state(path)
    return None if state is None or state.size not in (None, size) else state


def recorded_state(path: Path) -> FlatState | None:
    """Return what is recorded about a flat file, even if a file with a sidecar is missing or has another size.

    Raises:
        ManifestError: a later version wrote it.
        OutputError: it cannot be read.
    """
    with disk_errors(path):
        if path.suffix == ".parquet":
            content = read_metadata(path).get(KEY, "").encode() if path.is_file() else b""
        else:
            sidecar = sidecar_of(path)
            content = sidecar.read_bytes() if sidecar.is_file() else b""
    try:
        state = _decoder.decode(content)
    except msgspec.DecodeError:
        return None
    if state.flat > VERSION:
        message = f"{path} has version {state.flat}, but this dapkit supports versions up to {VERSION}"
        raise ManifestError(message, hint="Use the version of dapkit that wrote it, or a later one.")
    return state


def is_intact(path: Path, state: FlatState) -> bool:
    """Whether a file with a sidecar still has the SHA-256 that the sidecar names. Reads the file. Raises OSError."""
    return state.sha256 is None or sha256_of(path) == state.sha256


def write_sidecar(path: Path, state: FlatState) -> None:
    """Write the state next to a file without metadata, durably."""
    with disk_errors(path):
        complete = msgspec.structs.replace(state, size=path.stat().st_size, sha256=sha256_of(path))
    replace_file(sidecar_of(path), msgspec.json.format(msgspec.json.encode(complete), indent=2) + b"\n")


def sidecar_of(path: Path) -> Path:
    """Return the path of a file's sidecar."""
    return path.with_name(path.name + SIDECAR)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def flat_files(output: Path) -> Iterator[tuple[Path, FlatState]]:
    """Yield the flat files in an output folder with their states, sorted by path."""
    for path in flat_paths(output):
        state = read_state(path)
        if state is not None:
            yield path, state


def flat_paths(output: Path) -> Iterator[Path]:
    """Yield the paths in an output folder that may be flat files, sorted; also those whose sidecar alone is left."""
    found: set[Path] = set()
    for pattern in ("[!.]*/[!.]*", f"[!.]*/[!.]*{CHANGES}/[!.]*"):
        found.update(path.with_name(path.name.removesuffix(SIDECAR)) for path in output.glob(pattern))
    yield from sorted(path for path in found if is_flat_name(path.name))


def is_flat_name(name: str) -> bool:
    """Whether a flat file could have this name."""
    return not name.startswith(".") and name.endswith(tuple(f".{each}" for each in FlatFormat))
