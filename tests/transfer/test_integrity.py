import base64
import gzip
import hashlib
import io
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dapkit.errors import IntegrityError
from dapkit.model import Format
from dapkit.sandbox.service.checksums import checksum as sandbox_checksum
from dapkit.storage.local import LocalFolder
from dapkit.transfer import checksums
from dapkit.transfer.integrity import (
    NOTHING_EXPECTED,
    Expected,
    ObjectCheck,
    Verification,
    expected_from_headers,
    verify_file,
)

TEXT = b'meta.ts\tkey.id\n2025\t1\n2025\t"\n'
GZIP = gzip.compress(TEXT, mtime=0)


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2, 3], "name": ["a", None, "c"]}), out)
    return out.getvalue()


PARQUET = parquet()


def checked(
    folder: Path, data: bytes, kind: Format, expected: Expected = NOTHING_EXPECTED, step: int = 1 << 20
) -> Verification:
    path = folder / "part"
    path.write_bytes(data)
    check = ObjectCheck(kind, expected)
    for start in range(0, len(data), step):
        check.update(memoryview(data)[start : start + step])
    with path.open("rb", buffering=0) as file:
        return check.finish(file)


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_complete_gzip_object(tmp_path: Path, step: int) -> None:
    verification = checked(tmp_path, GZIP, Format.TSV, Expected(length=len(GZIP)), step)
    assert verification == Verification(
        size=len(GZIP), sha256=hashlib.sha256(GZIP).hexdigest(), rows=2, verified_by=("crc", "length")
    )


def test_zeros_after_gzip_are_accepted_but_do_not_count_as_verification(tmp_path: Path) -> None:
    verification = checked(tmp_path, GZIP + bytes(512), Format.TSV)
    assert (verification.rows, verification.verified_by, verification.complete) == (2, (), False)
    assert checked(tmp_path, GZIP, Format.TSV).complete


@pytest.mark.parametrize(("kind", "rows"), [(Format.JSONL, 3), (Format.TSV, 2), (Format.CSV, None)])
def test_rows_are_counted_according_to_the_format(tmp_path: Path, kind: Format, rows: int | None) -> None:
    assert checked(tmp_path, GZIP, kind).rows == rows


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_complete_parquet_object(tmp_path: Path, step: int) -> None:
    verification = checked(tmp_path, PARQUET, Format.PARQUET, NOTHING_EXPECTED, step)
    assert (verification.rows, verification.verified_by) == (3, ("structure",))


def test_page_crcs_count_as_crc(tmp_path: Path) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2, 3]}), out, write_page_checksum=True)
    assert checked(tmp_path, out.getvalue(), Format.PARQUET).verified_by == ("crc", "structure")


def test_an_encrypted_parquet_file_is_verified_by_the_store_only(tmp_path: Path) -> None:
    data = b"PARE" + b"x" * 50 + b"\4\0\0\0PARE"
    expected = Expected(length=len(data), checksums={"md5": md5(data)})
    verification = checked(tmp_path, data, Format.PARQUET, expected)
    assert (verification.rows, verification.verified_by) == (None, ("checksum", "length"))


def digest_of(algorithm: str, data: bytes) -> bytes:
    if algorithm == "crc32":
        return zlib.crc32(data).to_bytes(4, "big")
    if algorithm in ("crc32c", "crc64nvme"):
        return sandbox_checksum(algorithm, [data])
    return hashlib.new(algorithm, data).digest()


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5", "crc32", "crc32c", "crc64nvme"])
@pytest.mark.parametrize(("kind", "data"), [(Format.PARQUET, PARQUET), (Format.JSONL, GZIP)])
def test_the_checksum_of_the_store_is_verified(tmp_path: Path, algorithm: str, kind: Format, data: bytes) -> None:
    expected = Expected(checksums={algorithm: digest_of(algorithm, data)})
    assert checked(tmp_path, data, kind, expected).verified_by[0] == "checksum"
    other = Expected(checksums={algorithm: digest_of(algorithm, data + b"x")})
    with pytest.raises(IntegrityError, match=algorithm):
        checked(tmp_path, data, kind, other)


@given(pool=st.integers(0, len(PARQUET) - 1), change=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_of_parquet_is_found_by_the_checksum_of_the_store(
    tmp_path: Path, pool: int, change: int
) -> None:
    damaged = bytearray(PARQUET)
    damaged[pool] ^= change
    expected = Expected(checksums={"crc32": digest_of("crc32", PARQUET)})
    with pytest.raises(IntegrityError):
        checked(tmp_path, bytes(damaged), Format.PARQUET, expected)


def test_a_checksum_that_cannot_be_computed_does_not_count_as_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_awscrt", lambda: None)
    expected = Expected(checksums={"crc64nvme": bytes(8), "crc32c": bytes(4)})
    assert "checksum" not in checked(tmp_path, PARQUET, Format.PARQUET, expected).verified_by


def test_an_etag_counts_only_if_it_is_the_md5(tmp_path: Path) -> None:
    right, wrong = Expected(etag=f'"{md5(PARQUET).hex()}"'), Expected(etag=f'"{md5(b"").hex()}"')
    assert checked(tmp_path, PARQUET, Format.PARQUET, right).verified_by == ("checksum", "structure")
    assert checked(tmp_path, PARQUET, Format.PARQUET, wrong).verified_by == ("structure",)
    assert checked(tmp_path, GZIP, Format.TSV, Expected(etag=f'"{md5(GZIP).hex()}"')).verified_by == ("crc",)


@pytest.mark.parametrize("etag", [None, "", '"abc"', f'W/"{md5(PARQUET).hex()}"', f'"{md5(PARQUET).hex()}-4"'])
def test_other_etags_contain_no_digest(etag: str | None) -> None:
    assert Expected(etag=etag).etag_digest is None


@pytest.mark.parametrize("announced", [len(GZIP) - 1, len(GZIP) + 1, 0])
def test_a_wrong_length_is_an_error(tmp_path: Path, announced: int) -> None:
    with pytest.raises(IntegrityError, match=str(announced)):
        checked(tmp_path, GZIP, Format.TSV, Expected(length=announced))


def test_an_endless_body_fails_at_the_first_excess_byte() -> None:
    check = ObjectCheck(Format.PARQUET, Expected(length=10))
    check.update(b"PAR1567890")
    with pytest.raises(IntegrityError, match="10 bytes"):
        check.update(b"x")


@pytest.mark.parametrize("kind", list(Format))
@pytest.mark.parametrize("body", [b"<?xml version='1.0'?><Error/>", b'{"error": {}}', b"<"])
def test_another_kind_of_content_fails_at_once_and_is_shown(kind: Format, body: bytes) -> None:
    with pytest.raises(IntegrityError, match="begins with b"):
        ObjectCheck(kind).update(body)


@pytest.mark.parametrize("kind", [Format.JSONL, Format.CSV, Format.TSV])
def test_an_object_of_zero_bytes_has_no_rows_if_the_store_says_so(tmp_path: Path, kind: Format) -> None:
    nothing = Verification(size=0, sha256=hashlib.sha256(b"").hexdigest(), rows=0, verified_by=("length",))
    assert checked(tmp_path, b"", kind, Expected(length=0)) == nothing
    assert checked(tmp_path, b"", kind, Expected(checksums={"crc32": bytes(4)})).verified_by == ("checksum",)
    with pytest.raises(IntegrityError, match="did not announce"):
        checked(tmp_path, b"", kind)
    with pytest.raises(IntegrityError, match="announced"):
        checked(tmp_path, b"", kind, Expected(length=9))
    assert verify_file(LocalFolder(tmp_path), "part", kind).rows == 0


def test_a_parquet_file_of_zero_bytes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        checked(tmp_path, b"", Format.PARQUET, Expected(length=0))


TEXTS = [
    b"",
    b"\n\n\n",
    b"no header",
    b"\xef\xbb\xbfmeta.ts\r\n1\r\n",
    b"\xff\xfe\0\0",
    b'"',
    b'a,"b\n',
    b"{",
    b"\0" * 99,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", [Format.JSONL, Format.CSV, Format.TSV])
def test_no_text_is_an_error(tmp_path: Path, kind: Format, text: bytes) -> None:
    data = gzip.compress(text)
    for step in (1, 1 << 20):
        verification = checked(tmp_path, data, kind, Expected(length=len(data)), step)
        assert verification.verified_by == ("crc", "length")
        assert verification.rows == verify_file(LocalFolder(tmp_path), "part", kind).rows


@given(kept=st.integers(0, 10_000), gzipped=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_truncation_is_found_without_an_announced_length(tmp_path: Path, kept: int, gzipped: bool) -> None:
    content, kind = (GZIP, Format.CSV) if gzipped else (PARQUET, Format.PARQUET)
    with pytest.raises(IntegrityError):
        checked(tmp_path, content[: kept % len(content)], kind)


def test_a_stored_file_is_verified_from_scratch(tmp_path: Path) -> None:
    path = tmp_path / "part-0.tsv.gz"
    path.write_bytes(gzip.compress(TEXT + b"row\n" * 2_000_000, 1))
    verification = verify_file(LocalFolder(tmp_path), path.name, Format.TSV)
    assert (verification.size, verification.rows, verification.verified_by) == (
        path.stat().st_size,
        2_000_002,
        ("crc",),
    )
    assert verification.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_damaged_stored_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "part-0.tsv.gz"
    path.write_bytes(GZIP[:-1])
    with pytest.raises(IntegrityError):
        verify_file(LocalFolder(tmp_path), path.name, Format.TSV)


def test_headers_of_a_complete_response() -> None:
    headers = {
        "Content-Length": "120",
        "ETag": '"abc"',
        "X-Amz-Checksum-Crc32": base64_of(b"crc3"),
        "x-amz-checksum-crc32c": base64_of(b"c32c"),
        "x-amz-checksum-crc64nvme": base64_of(b"crc64nvm"),
        "x-amz-checksum-sha1": base64_of(b"1" * 20),
        "x-amz-checksum-sha256": base64_of(b"2" * 32),
        "Content-MD5": base64_of(b"5" * 16),
    }
    assert expected_from_headers(headers, 200) == Expected(
        length=120,
        etag='"abc"',
        checksums={
            "crc32": b"crc3",
            "crc32c": b"c32c",
            "crc64nvme": b"crc64nvm",
            "sha1": b"1" * 20,
            "sha256": b"2" * 32,
            "md5": b"5" * 16,
        },
    )


def test_headers_of_a_part() -> None:
    headers = {
        "content-length": "20",
        "content-range": "bytes 100-119/120",
        "content-md5": base64_of(b"5" * 16),
    }
    assert expected_from_headers(headers, 206) == Expected(length=120)


def test_google_writes_its_hashes_in_one_header() -> None:
    headers = {"x-goog-hash": f"crc32c={base64_of(b'c32c')}, md5={base64_of(b'5' * 16)},new=AAAA"}
    assert expected_from_headers(headers, 200).checksums == {"crc32c": b"c32c", "md5": b"5" * 16}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-length": "-5"},
        {"content-length": "many"},
        {"content-length": "١٢"},
        {"content-md5": "no base64!"},
        {"content-md5": base64_of(b"short")},
        {"x-amz-checksum-sha256": base64_of(b"2" * 32) + "-3"},
        {"x-amz-checksum-crc32": base64_of(b"composite")},
    ],
)
@pytest.mark.parametrize("status", [200, 206])
def test_headers_without_information(headers: dict[str, str], status: int) -> None:
    assert expected_from_headers(headers, status) == NOTHING_EXPECTED


@pytest.mark.parametrize("text", ["bytes 0-9/*", "bytes */", "nonsense"])
def test_a_part_of_an_object_of_unknown_length(text: str) -> None:
    assert expected_from_headers({"content-length": "10", "content-range": text}, 206).length is None
