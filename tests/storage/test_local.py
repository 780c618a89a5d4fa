"""A file under a final name is complete; a partial file can be continued, flushed and discarded."""

import errno
import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dapkit.errors import DiskFullError, IntegrityError, OutputError
from dapkit.model import Format
from dapkit.storage.local import LocalFolder, LocalPartialFile
from dapkit.transfer.integrity import Expected, ObjectCheck, Verification

BODY = gzip.compress(os.urandom(1000).hex().encode() + b"\n", mtime=0)
NAME = "x.jsonl.gz"


def check() -> ObjectCheck:
    return ObjectCheck(Format.JSONL, Expected(length=len(BODY)))


def finish(part: LocalPartialFile[Verification], chunks: Sequence[bytes]) -> Verification:
    verification = part.verify(chunks)
    part.flush()
    part.commit()
    return verification


@pytest.fixture
def part(tmp_path: Path) -> LocalPartialFile[Verification]:
    return LocalFolder(tmp_path).partial(NAME)


def test_the_final_name_appears_with_the_commit(part: LocalPartialFile[Verification]) -> None:
    part.start(check(), 0)
    part.write([BODY[:100], BODY[100:200]])
    assert part.path.name == ".x.jsonl.gz.part"
    verification = part.verify([BODY[200:]])
    part.flush()
    assert part.path.exists()
    assert not part.final.exists()
    part.commit()
    assert part.final.read_bytes() == BODY
    assert not part.path.exists()
    assert verification.rows == 1
    assert "crc" in verification.verified_by


def test_a_later_attempt_continues_and_verifies_everything(
    tmp_path: Path, part: LocalPartialFile[Verification]
) -> None:
    part.start(check(), 0)
    part.suspend([BODY[:300]])
    later: LocalPartialFile[Verification] = LocalFolder(tmp_path).partial(NAME)
    assert later.size() == 300
    later.start(check(), 250)
    finish(later, [BODY[250:]])
    assert part.final.read_bytes() == BODY
    assert LocalFolder(tmp_path).names() == [NAME]


def test_a_corrupt_beginning_is_detected(part: LocalPartialFile[Verification]) -> None:
    part.path.write_bytes(BODY[:200][::-1])
    part.start(check(), 200)
    with pytest.raises(IntegrityError):
        finish(part, [BODY[200:]])
    assert part.discard() == 200
    assert not part.path.exists()
    assert not part.final.exists()


def test_a_partial_file_of_another_process_needs_a_check_that_covers_every_byte(
    part: LocalPartialFile[Verification],
) -> None:
    padded = BODY + bytes(10)  # allowed by gzip, but covered by no CRC
    part.path.write_bytes(padded[:200])
    part.start(ObjectCheck(Format.JSONL, inherited=True), 200)
    with pytest.raises(IntegrityError, match="interrupted run"):
        part.verify([padded[200:]])
    part.discard()
    part.start(ObjectCheck(Format.JSONL), 0)
    assert not part.verify([padded]).complete
    part.close()


def test_truncation_is_detected(part: LocalPartialFile[Verification]) -> None:
    part.start(check(), 0)
    with pytest.raises(IntegrityError):
        finish(part, [BODY[:-1]])
    assert not part.final.exists()


def test_a_full_disk_has_its_own_error(part: LocalPartialFile[Verification], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    part.start(check(), 0)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFullError):
        part.write([BODY])
    part.close()


def test_disk_errors_are_translated(part: LocalPartialFile[Verification], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    part.start(check(), 0)
    monkeypatch.setattr(ObjectCheck, "finish", broken)
    with pytest.raises(OutputError, match="Input/output"):
        finish(part, [BODY])
    part.discard()
    part.path.mkdir()
    with pytest.raises(OutputError):
        part.discard()


def test_an_unreadable_partial_file_can_be_discarded(part: LocalPartialFile[Verification]) -> None:
    part.path.touch(mode=0o000)
    part.discard()
    assert not part.path.exists()


def test_a_folder_lists_reads_replaces_and_deletes_files(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path / "a" / "b")
    folder.create()
    folder.replace("one", b"old")
    folder.replace("one", b"new!")
    folder.replace("two", b"")
    folder.flush()
    assert folder.names() == ["one", "two"]
    assert folder.size("one") == 4
    with folder.open("one") as file:
        assert file.read() == b"new!"
    folder.delete("two")
    folder.delete("two")
    assert folder.names() == ["one"]
    assert (folder.resumable, folder.atomic_replace) == (True, True)


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(OSError, match="sub"):
        LocalFolder(tmp_path).size("sub")
    with pytest.raises(OutputError):
        LocalFolder(tmp_path).delete("sub")
