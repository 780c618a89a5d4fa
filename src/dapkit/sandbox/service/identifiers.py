"""Identifiers of jobs and objects. An identifier contains all facts about its job, so that jobs need not be stored.

It holds the query, the time of its data and the time of its creation, and is signed with a key derived from the
dataset (seed, scale, …). Any process that serves the same dataset can serve a job that another one created, and an
invented identifier is recognised. Identifiers consist of lower-case letters and digits, which are safe in URLs and in
file names on every system. Those of jobs have 64 characters, those of objects 71.
"""

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from dapkit.sandbox.data.dataset import DataQuery

# Positions in these tuples are part of each identifier: only append to them.
FORMATS = ("tsv", "csv", "jsonl", "parquet")
MODES = ("expanded", "condensed")

# What an identifier is (job or object), checksum of the table's name, format and mode, attempt, since, until, created.
_HEADER = struct.Struct(">BIBHqqq")
_INDEX = struct.Struct(">I")
_SIGNATURE_BYTES = 8
_JOB, _OBJECT = 1, 2
_NO_SINCE = -(2**63)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """The facts that a job's identifier contains. `fails` marks a job that ends as failed.

    `attempt` (below 65,536) distinguishes jobs for the same query that are created in the same millisecond.
    """

    query: DataQuery
    created_ms: int
    attempt: int = 0
    fails: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectIdentity:
    """One object of a job's result, counted from 0."""

    job: JobIdentity
    index: int


class Identifiers:
    """Creates and parses the identifiers of one dataset."""

    def __init__(self, tables: Iterable[tuple[str, str]], dataset: str) -> None:
        self._names = {_table_code(namespace, table): (namespace, table) for namespace, table in tables}
        self._key = hashlib.sha256(dataset.encode()).digest()

    def for_job(self, job: JobIdentity) -> str:
        """Return a job's identifier."""
        return self._sign(_pack(_JOB, job))

    def for_object(self, item: ObjectIdentity) -> str:
        """Return an object's identifier."""
        return self._sign(_pack(_OBJECT, item.job) + _INDEX.pack(item.index))

    def parse_job(self, text: str) -> JobIdentity | None:
        """Return the content of a job's identifier, or None for any other text."""
        raw = _decode(text, _HEADER.size)
        job = None if raw is None else self._unpack(raw)
        return job if job is not None and _equal(self.for_job(job), text) else None

    def parse_object(self, text: str) -> ObjectIdentity | None:
        """Return the content of an object's identifier, or None for any other text."""
        raw = _decode(text, _HEADER.size + _INDEX.size)
        job = None if raw is None else self._unpack(raw)
        if raw is None or job is None:
            return None
        item = ObjectIdentity(job=job, index=_INDEX.unpack_from(raw, _HEADER.size)[0])
        return item if _equal(self.for_object(item), text) else None

    def _sign(self, raw: bytes) -> str:
        signature = hashlib.blake2b(raw, key=self._key, digest_size=_SIGNATURE_BYTES).digest()
        return base64.b32encode(raw + signature).decode().rstrip("=").lower()

    def _unpack(self, raw: bytes) -> JobIdentity | None:
        # The bytes are not verified yet. Verification encodes the result again and compares the texts: that checks the
        # signature, and also rejects other spellings (capitals, unused bits) of a valid identifier.
        _, code, choice, attempt, since_ms, until_ms, created_ms = _HEADER.unpack_from(raw)
        name = self._names.get(code)
        if name is None:
            return None
        query = DataQuery(
            namespace=name[0],
            table=name[1],
            format=FORMATS[choice & 3],
            mode=MODES[choice >> 2 & 1],
            since_ms=None if since_ms == _NO_SINCE else since_ms,
            until_ms=until_ms,
        )
        return JobIdentity(query=query, created_ms=created_ms, attempt=attempt, fails=bool(choice >> 3 & 1))


def _equal(expected: str, text: str) -> bool:
    return hmac.compare_digest(expected.encode(), text.encode())


def _table_code(namespace: str, table: str) -> int:
    return zlib.crc32(f"{namespace}.{table}".encode())


def _pack(kind: int, job: JobIdentity) -> bytes:
    query = job.query
    choice = FORMATS.index(query.format) | MODES.index(query.mode) << 2 | job.fails << 3
    since_ms = _NO_SINCE if query.since_ms is None else query.since_ms
    code = _table_code(query.namespace, query.table)
    return _HEADER.pack(kind, code, choice, job.attempt, since_ms, query.until_ms, job.created_ms)


def _decode(text: str, size: int) -> bytes | None:
    """Return the first `size` bytes, not verified, of an identifier of the right length; None for other texts."""
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return None
    return raw[:size] if len(raw) == size + _SIGNATURE_BYTES else None
