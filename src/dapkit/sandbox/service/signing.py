"""Signed URLs of objects: good for one object, for a while, for whoever holds them."""

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from dapkit.sandbox.service.identifiers import ObjectIdentity

STORE = "/store"

_DATE = "X-Amz-Date"
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_EXPIRES = "X-Amz-Expires"
_SIGNATURE = "X-Amz-Signature"

_HOSTILE_NAMES = (
    "../../evil",
    "/tmp/evil",  # noqa: S108  # a name to be refused, never a place we write to
    "..\\..\\evil",
    "..",
    "evil\x00name",
    ".manifest.json",
    "CON",
    "evil\nname",
)


class Signer:
    """Signs and checks URLs with the key of one world, so that any process of that world accepts them."""

    def __init__(self, world: str) -> None:
        self._key = hashlib.sha256(f"urls of {world}".encode()).digest()

    def path(self, identifier: str, name: str, *, signed_ms: int, seconds: int) -> str:
        """Return an object's path and query, ending in `name`, valid for `seconds` from `signed_ms`."""
        date = datetime.fromtimestamp(signed_ms // 1000, UTC).strftime(_DATE_FORMAT)
        query = {_DATE: date, _EXPIRES: seconds, _SIGNATURE: self._signature(identifier, date, str(seconds))}
        return f"{STORE}/{identifier}/{quote(name, safe='')}?{urlencode(query)}"

    def accepts(self, identifier: str, query: Mapping[str, str], now_ms: int) -> bool:
        """Say whether a request for an object is signed and not too late."""
        date, expires = query.get(_DATE, ""), query.get(_EXPIRES, "")
        expected = self._signature(identifier, date, expires)
        if not hmac.compare_digest(expected.encode(), query.get(_SIGNATURE, "").encode()):
            return False
        signed = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC)
        return now_ms < (signed.timestamp() + int(expires)) * 1000

    def _signature(self, identifier: str, date: str, expires: str) -> str:
        return hmac.digest(self._key, f"{identifier}\n{date}\n{expires}".encode(), hashlib.sha256).hex()


def file_name(item: ObjectIdentity) -> str:
    """Return the name an object is served under, as a writer of many parts names its files."""
    ending = item.job.format if item.job.format == "parquet" else f"{item.job.format}.gz"
    writer = uuid.uuid5(uuid.NAMESPACE_OID, repr(item.job))
    return f"part-{item.index:05d}-{writer}-c000.{ending}"


def hostile_name(fraction: float) -> str:
    """Return one of the names that no client may write to."""
    return _HOSTILE_NAMES[int(fraction * len(_HOSTILE_NAMES))]
