"""PURE: the names that files get, from the URLs that the service gives.

A name from outside is never trusted: it becomes one harmless path component, distinct within its job on
case-insensitive file systems too.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from dapkit.errors import UnsafeNameError

JOB_PREFIX = "job_"
_HARMLESS = re.compile(r"[^A-Za-z0-9._=+@~-]")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
_LONGEST = 180
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,199}")


def object_name(url: str, index: int, suffix: str) -> str:
    """Return a safe file name for the object behind a signed URL.

    Args:
        url: the signed URL; only the last component of its path counts.
        index: the object's place in its job, for a name where the URL offers none.
        suffix: the extension of the format, for example `.jsonl.gz`, for the same case.
    """
    served = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    served = served.replace("\\", "/").rsplit("/", 1)[-1]
    name = _HARMLESS.sub("_", served).lstrip(".")
    if not name.strip("._"):
        return f"part-{index:05d}{suffix}"
    if _RESERVED.match(name):
        name = f"_{name}"
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 60]}-{index:05d}-{name[-50:]}"
    return name


def distinct_name(name: str, index: int, taken: Collection[str]) -> str:
    """Return the name itself, or one made distinct from those taken, which are given casefolded."""
    candidate, attempt = name, index
    while candidate.casefold() in taken:
        stem, dot, rest = name.partition(".")
        candidate = f"{stem}-{attempt:05d}{dot}{rest}"
        attempt += 1
    return candidate


def harmless(text: str, longest: int) -> str:
    """Return the text as a part of a file name, for a person to know it by; different texts may give the same."""
    return _HARMLESS.sub("_", text[:longest]).lstrip(".")


def schema_file(table: str, version: int) -> str:
    """Return the name of a schema's file. Raises UnsafeNameError for a table whose name cannot be part of one."""
    if table.startswith(".") or len(table) > _LONGEST or harmless(table, _LONGEST) != table:
        shown = table[:80].encode("unicode_escape").decode("ascii")
        raise UnsafeNameError(
            f"The service named a table {shown!r}, which cannot be part of a file name",
            hint="Check the base URL; the service's tables are named in letters, digits and underscores.",
        )
    return f"{table}_schema_version_{version}.json"


def job_folder(job_id: str) -> str:
    """Return the folder's name of a job. Raises UnsafeNameError for an id that cannot be a file name."""
    if not _JOB_ID.fullmatch(job_id):
        shown = job_id[:80].encode("unicode_escape").decode("ascii")
        raise UnsafeNameError(
            f"The service named a job {shown!r}, which cannot be the name of a folder",
            hint="Check the base URL; the service's job ids are letters, digits and dashes.",
        )
    return f"{JOB_PREFIX}{job_id}"
