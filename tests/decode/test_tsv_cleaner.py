"""Usual files stay as they are, unusual ones become usual; `tests/contract/malformed.py` has the table of oddities."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.table_schemas import INT32, TEXT, table_of

from dapkit.decode.tsv import common_header, decode_field, row_blocks, split_fields
from dapkit.decode.tsv_cleaner import TsvCleaner
from dapkit.errors import BadValueError, MalformedFileError

TABLE = table_of({"name": TEXT, "size": INT32, "more": {}})
HEADER = b"meta.ts\tkey.id\tvalue.name\tvalue.size\tvalue.more"
TS = b"2024-03-01T12:00:00Z"
Noted = list[tuple[str, Mapping[str, str | None], str, bool]]


def cleaned(folder: Path, *files: bytes) -> tuple[list[bytes], TsvCleaner, Noted]:
    """Clean files of a snapshot; return the new ones, the cleaner and the repairs."""
    noted: Noted = []
    cleaner = TsvCleaner(TABLE, action=False, on_repair=lambda *repair: noted.append(repair))
    new = folder / "new"
    new.mkdir(exist_ok=True)
    copies = cleaner.clean(written(folder, files), new)
    return [gzip.decompress(path.read_bytes()) for path in copies], cleaner, noted


def written(folder: Path, files: Sequence[bytes]) -> list[Path]:
    paths = [folder / f"part-{number}.tsv.gz" for number in range(len(files))]
    for path, text in zip(paths, files, strict=True):
        path.write_bytes(gzip.compress(text))
    return paths


def test_usual_files_stay_as_they_are(tmp_path: Path) -> None:
    one = HEADER + b"\n" + TS + b'\t1\ta\\n\\\\\\q\t\\N\t"\\\\ud83d\\\\ude00"\n'
    two = HEADER + b"\n" + TS + "\t2\té\t1\t\\N".encode()
    new, cleaner, noted = cleaned(tmp_path, one, two)
    assert new == [one, two + b"\n"]
    assert (cleaner.changed, cleaner.rows, cleaner.lines, noted) == (False, 2, 2, [])


def test_unusual_files_become_usual_ones_with_the_same_header(tmp_path: Path) -> None:
    one = b'\xef\xbb\xbfvalue.size\tkey.id\tvalue.more\tvalue.name\r\n1\t1\t"\\\\ud83d"\ta\xff\0\r\n\r\n'
    two = HEADER + b"\n" + TS + b"\t2\tb\t2\t\\N\n"
    new, cleaner, noted = cleaned(tmp_path, one, b"", two)
    header = b"meta.ts\tvalue.size\tkey.id\tvalue.more\tvalue.name\n"
    assert new == [
        header + b'\\N\t1\t1\t"\\\\ufffd"\ta\xef\xbf\xbd\\0\n',
        header + TS + b"\t2\t2\t\\N\tb\n",
    ]
    assert (cleaner.changed, cleaner.rows, cleaner.lines) == (True, 2, 3)
    assert noted == [("more", {"id": "1"}, r'"\ud83d"', True), ("name", {"id": "1"}, "a\\xff\0", True)]


def test_deleted_rows_lose_their_values(tmp_path: Path) -> None:
    header = b"meta.ts\tmeta.action\tkey.id\tvalue.name\tvalue.size\n"
    text = header + TS + b"\tD\t1\t\xff\tmany\n" + TS + b"\tU\t2\ta\t1\n"
    (path,) = written(tmp_path, [text])
    new = tmp_path / "new"
    new.mkdir()
    cleaner = TsvCleaner(TABLE, action=True, on_repair=lambda *repair: pytest.fail(str(repair)))
    (copy,) = cleaner.clean([path], new)
    assert gzip.decompress(copy.read_bytes()) == header + TS + b"\tD\t1\t\\N\t\\N\n" + TS + b"\tU\t2\ta\t1\n"
    assert cleaner.changed


def test_what_the_listener_raises_ends_the_cleaning(tmp_path: Path) -> None:
    def reject(*_: object) -> None:
        raise BadValueError("rejected")

    paths = written(tmp_path, [HEADER + b"\n" + TS + b"\t1\t\xff\t\\N\t\\N\n"])
    with pytest.raises(BadValueError, match="rejected"):
        TsvCleaner(TABLE, action=False, on_repair=reject).clean(paths, tmp_path)


def test_a_rejection_names_file_and_line(tmp_path: Path) -> None:
    text = HEADER + b"\n" + TS + b"\t1\ta\t1\t\\N\n" + TS + b"\t2\n"
    with pytest.raises(MalformedFileError, match=r"Line 3 of part-1\.tsv\.gz has 2 fields instead of 5"):
        cleaned(tmp_path, HEADER + b"\n", text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.binary(max_size=30).filter(lambda data: not {*b"\t\n"} & {*data}))
def test_any_bytes_become_a_field_that_targets_accept(tmp_path: Path, name: bytes) -> None:
    new, cleaner, _ = cleaned(tmp_path, HEADER + b"\n" + TS + b"\t1\t" + name + b"\t\\N\t\\N\n")
    paths = written(tmp_path, new)
    assert common_header(paths, TABLE, action=False)
    (line,) = b"".join(row_blocks(paths[0])).splitlines()
    field = split_fields(line)[2]
    field.decode()
    assert decode_field(field) == decode_field(name)
    assert cleaner.rows == 1
