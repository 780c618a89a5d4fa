"""Downloaded files that are not as the service documents them: copies that can be read, as "Malformed files" says."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dapkit.decode.row_count import row_counter
from dapkit.decode.surrogates import replace_unpaired_surrogates
from dapkit.decode.tsv import BOM
from dapkit.decode.tsv_cleaner import TsvCleaner
from dapkit.errors import BadValueError, IntegrityError
from dapkit.model import Format, Table
from dapkit.storage.atomic import make_folder

_DELETED = b'"action":"D"'


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairedCopy:
    """A copy that can be read: its path, its rows (None if not counted), and how many values or lines were repaired."""

    path: Path
    rows: int | None
    repaired: int


def repaired_copy(
    table: Table, format_: Format, path: Path, folder: Path, *, action: bool, rows: int | None
) -> RepairedCopy | None:
    """Write a copy of a file that can be read; None if nothing can be repaired. Blocks.

    Args:
        table: of the file.
        format_: of the file.
        path: the file.
        folder: for the copy; created here.
        action: whether it is an increment.
        rows: how many rows the file has; None if that is unknown.

    Raises:
        IntegrityError: the file cannot be repaired.
        BadValueError: a value of the key would have to be repaired: it could become equal to another one.
    """
    if format_ is Format.PARQUET:
        return None
    make_folder(folder)
    if format_ is Format.TSV:
        return _repaired_tsv(table, path, folder, action=action, rows=rows)
    copy = _repaired_lines(format_, path, folder / path.name, action=action)
    if rows is not None and copy.lines != rows:  # lines that were lost since the download are no oddity
        raise _lost_rows(path, rows, copy.lines)
    return RepairedCopy(path=folder / path.name, rows=copy.rows, repaired=copy.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """What was copied: lines or records of the file, rows of the copy (None: not counted), and lines changed."""

    lines: int | None
    rows: int | None
    changed: int


def _repaired_lines(format_: Format, path: Path, copy: Path, *, action: bool) -> _Lines:
    counter = row_counter(format_)
    rows = changed = 0
    with gzip.open(path, "rb") as source, gzip.open(copy, "wb", compresslevel=1) as target:
        for number, line in enumerate(source):
            counter.update(line)
            original = line.removeprefix(BOM) if number == 0 else line
            # In CSV this also changes an escape in a plain text, which only looks like half a surrogate pair.
            repaired = replace_unpaired_surrogates(original.decode("utf-8", "replace")).encode()
            changed += repaired != original
            # Empty lines are not rows, and a snapshot does not have deleted rows.
            rows += bool(line.strip()) and (action or _DELETED not in line)
            target.write(repaired)
    return _Lines(lines=counter.rows(), rows=rows if format_ is Format.JSONL else None, changed=changed)


def _lost_rows(path: Path, rows: int, found: int | None) -> IntegrityError:
    return IntegrityError(f"{path.name} has {rows:,} rows, but {found or 0:,} were found in it")


def _repaired_tsv(table: Table, path: Path, folder: Path, *, action: bool, rows: int | None) -> RepairedCopy | None:
    repaired = 0

    def note(column: str, _key: Mapping[str, str | None], _original: str, repairable: bool) -> None:
        nonlocal repaired
        if not repairable:
            raise BadValueError(f"A value of the key column {column} is not valid text", table=table.name)
        repaired += 1

    cleaner = TsvCleaner(table, action=action, on_repair=note)
    copies = cleaner.clean([path], folder)
    if not cleaner.changed or not copies:
        return None
    if rows is not None and cleaner.lines != rows:  # as above
        raise _lost_rows(path, rows, cleaner.lines)
    return RepairedCopy(path=copies[0], rows=cleaner.rows, repaired=repaired)
