"""PURE: names of files and folders, made from what the service sends.

A name from outside is never trusted. It becomes one safe path component, unique within its job, also on
case-insensitive file systems.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from dapkit.errors import UnsafeNameError

JOB_PREFIX = "job_"
_UNSAFE = re.compile(r"[^A-Za-z0-9._=+@~-]")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
_MAX_LENGTH = 180
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,199}")


def object_name(url: str, index: int, suffix: str) -> str:
    """Return a safe file name for the object behind a signed URL.

    Args:
        url: the signed URL; the last component of its path is used.
        index: position of the object in its job, for a name if the URL contains none.
        suffix: extension of the format, for example `.jsonl.gz`, also for a name that the URL does not contain.
    """
    served = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    served = served.replace("\\", "/").rsplit("/", 1)[-1]
    name = _UNSAFE.sub("_", served).lstrip(".")
    if not name.strip("._"):
        return f"part-{index:05d}{suffix}"
    if _RESERVED.match(name):
        name = f"_{name}"
    if len(name) > _MAX_LENGTH:
        name = f"{name[: _MAX_LENGTH - 60]}-{index:05d}-{name[-50:]}"
    return name


def distinct_name(name: str, index: int, taken: Collection[str]) -> str:
    """Return the name, changed if necessary so that it differs from the casefolded names in `taken`."""
    candidate, attempt = name, index
    while candidate.casefold() in taken:
        stem, dot, rest = name.partition(".")
        candidate = f"{stem}-{attempt:05d}{dot}{rest}"
        attempt += 1
    return candidate


def safe_name(text: str, longest: int) -> str:
    """Return the text as a recognisable part of a file name. Different texts may give the same part."""
    return _UNSAFE.sub("_", text[:longest]).lstrip(".")


def schema_file(table: str, version: int) -> str:
    """Return the name of a schema file. Raises UnsafeNameError if the table's name cannot be part of a file name."""
    if table.startswith(".") or len(table) > _MAX_LENGTH or safe_name(table, _MAX_LENGTH) != table:
        shown = table[:80].encode("unicode_escape").decode("ascii")
        raise UnsafeNameError(
            f"The service sent the table name {shown!r}, which cannot be part of a file name",
            hint="Check the base URL. Table names of the service consist of letters, digits and underscores.",
        )
    return f"{table}_schema_version_{version}.json"


def job_folder_name(job_id: str) -> str:
    """Return the name of a job's folder. Raises UnsafeNameError if the id cannot be part of a file name."""
    if not _JOB_ID.fullmatch(job_id):
        shown = job_id[:80].encode("unicode_escape").decode("ascii")
        raise UnsafeNameError(
            f"The service sent the job id {shown!r}, which cannot be part of a folder name",
            hint="Check the base URL. Job ids of the service consist of letters, digits and dashes.",
        )
    return f"{JOB_PREFIX}{job_id}"
