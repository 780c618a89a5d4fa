"""A file under way never bears its final name, and goes on from where it stopped."""

import errno
import gzip
import os
from pathlib import Path

import pytest

from dapkit.errors import DiskFullError, IntegrityError, OutputError
from dapkit.model import Format
from dapkit.storage.partial_file import PartialFile
from dapkit.transfer.integrity import Expected, ObjectCheck

BODY = gzip.compress(os.urandom(1000).hex().encode() + b"\n", mtime=0)
EXPECTED = Expected(length=len(BODY))


@pytest.fixture
def part(tmp_path: Path) -> PartialFile:
    return PartialFile(tmp_path / "x.jsonl.gz", Format.JSONL)


def test_the_final_name_appears_only_when_all_is_proven(part: PartialFile) -> None:
    part.begin(EXPECTED, 0)
    part.write([BODY[:100], BODY[100:200]])
    assert part.path.name == ".x.jsonl.gz.part"
    assert part.path.exists()
    assert not part.final.exists()
    verification = part.finish([BODY[200:]])
    assert part.final.read_bytes() == BODY
    assert not part.path.exists()
    assert verification.rows == 1
    assert "crc" in verification.verified_by


def test_a_later_attempt_goes_on_and_proves_the_whole(tmp_path: Path, part: PartialFile) -> None:
    part.begin(EXPECTED, 0)
    part.pause([BODY[:300]])
    later = PartialFile(part.final, Format.JSONL)
    assert later.size() == 300
    later.begin(EXPECTED, 250)
    later.finish([BODY[250:]])
    assert part.final.read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl.gz"]


def test_a_wrong_beginning_is_found(part: PartialFile) -> None:
    part.path.write_bytes(BODY[:200][::-1])
    part.begin(EXPECTED, 200)
    with pytest.raises(IntegrityError):
        part.finish([BODY[200:]])
    part.discard()
    assert not part.path.exists()
    assert not part.final.exists()


def test_truncation_is_found(part: PartialFile) -> None:
    part.begin(EXPECTED, 0)
    with pytest.raises(IntegrityError):
        part.finish([BODY[:-1]])
    assert not part.final.exists()


def test_a_full_disk_has_its_own_error(part: PartialFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    part.begin(EXPECTED, 0)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFullError):
        part.write([BODY])
    part.close()


def test_what_the_disk_does_not_give_back_or_remove_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    part = PartialFile(tmp_path / "x.jsonl.gz", Format.JSONL)
    part.begin(EXPECTED, 0)
    monkeypatch.setattr(ObjectCheck, "finish", broken)
    with pytest.raises(OutputError, match="Input/output"):
        part.finish([BODY])
    part.discard()
    part.path.mkdir()
    with pytest.raises(OutputError):
        part.discard()


def test_an_empty_part_that_cannot_be_read_does_not_stand_in_the_way(tmp_path: Path) -> None:
    part = PartialFile(tmp_path / "x.jsonl.gz", Format.JSONL)
    part.path.touch(mode=0o000)
    part.discard()
    assert not part.path.exists()
