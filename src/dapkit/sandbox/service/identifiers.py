"""Identifiers of jobs and objects, which carry what they stand for.

An identifier holds the query, the moment of its data and the moment of its making, and is signed with the
world (seed, scale, …) it belongs to. So any process that serves the same world can serve a job that another
one made, with nothing stored, and an identifier that nobody made is told from a real one. Texts are
lower-case letters and digits, safe in URLs and file names on any system; those of jobs have 64 characters,
those of objects 71.
"""

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

FORMATS = ("tsv", "csv", "jsonl", "parquet")
MODES = ("expanded", "condensed")

_HEAD = struct.Struct(">BIBHqqq")
_INDEX = struct.Struct(">I")
_MAC_BYTES = 8
_JOB, _OBJECT = 1, 2
_NO_SINCE = -(2**63)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """What a job stands for. Moments are milliseconds; `fails` marks a job that ends failed.

    `attempt` (below 65,536) tells jobs of one query apart that are made in one millisecond.
    """

    namespace: str
    table: str
    format: str
    mode: str
    since_ms: int | None
    until_ms: int
    created_ms: int
    attempt: int = 0
    fails: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectIdentity:
    """One file of a job's result, counted from 0."""

    job: JobIdentity
    index: int


class Identifiers:
    """Writes and reads the identifiers of one world."""

    def __init__(self, tables: Iterable[tuple[str, str]], world: str) -> None:
        self._names = {_code(namespace, table): (namespace, table) for namespace, table in tables}
        self._key = hashlib.sha256(world.encode()).digest()

    def of_job(self, job: JobIdentity) -> str:
        """Return a job's identifier."""
        return self._seal(_pack(_JOB, job))

    def of_object(self, item: ObjectIdentity) -> str:
        """Return an object's identifier."""
        return self._seal(_pack(_OBJECT, item.job) + _INDEX.pack(item.index))

    def read_job(self, text: str) -> JobIdentity | None:
        """Return what a job's identifier stands for; None for anything else."""
        raw = _unseal(text, _HEAD.size)
        job = None if raw is None else self._unpack(raw)
        return job if job is not None and self._same(self.of_job(job), text) else None

    def read_object(self, text: str) -> ObjectIdentity | None:
        """Return what an object's identifier stands for; None for anything else."""
        raw = _unseal(text, _HEAD.size + _INDEX.size)
        job = None if raw is None else self._unpack(raw)
        if raw is None or job is None:
            return None
        item = ObjectIdentity(job=job, index=_INDEX.unpack_from(raw, _HEAD.size)[0])
        return item if self._same(self.of_object(item), text) else None

    def _seal(self, raw: bytes) -> str:
        mac = hashlib.blake2b(raw, key=self._key, digest_size=_MAC_BYTES).digest()
        return base64.b32encode(raw + mac).decode().rstrip("=").lower()

    def _unpack(self, raw: bytes) -> JobIdentity | None:
        _, code, choice, attempt, since_ms, until_ms, created_ms = _HEAD.unpack_from(raw)
        name = self._names.get(code)
        if name is None:
            return None
        return JobIdentity(
            namespace=name[0],
            table=name[1],
            format=FORMATS[choice & 3],
            mode=MODES[choice >> 2 & 1],
            since_ms=None if since_ms == _NO_SINCE else since_ms,
            until_ms=until_ms,
            created_ms=created_ms,
            attempt=attempt,
            fails=bool(choice >> 3 & 1),
        )

    @staticmethod
    def _same(expected: str, text: str) -> bool:
        return hmac.compare_digest(expected.encode(), text.encode())


def _code(namespace: str, table: str) -> int:
    return zlib.crc32(f"{namespace}.{table}".encode())


def _pack(kind: int, job: JobIdentity) -> bytes:
    choice = FORMATS.index(job.format) | MODES.index(job.mode) << 2 | job.fails << 3
    since_ms = _NO_SINCE if job.since_ms is None else job.since_ms
    code = _code(job.namespace, job.table)
    return _HEAD.pack(kind, code, choice, job.attempt, since_ms, job.until_ms, job.created_ms)


def _unseal(text: str, size: int) -> bytes | None:
    """Return the first `size` bytes, unproven, of an identifier of the right length; None for others."""
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return None
    return raw[:size] if len(raw) == size + _MAC_BYTES else None
