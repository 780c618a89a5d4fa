"""Signed URLs: each allows anyone who has it to download one object for a limited time."""

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

_UNSAFE_NAMES = (
    "../../evil",
    "/tmp/evil",  # noqa: S108  # a name that clients must reject; nothing is written there
    "..\\..\\evil",
    "..",
    "evil\x00name",
    ".manifest.json",
    "CON",
    "evil\nname",
)


class UrlSigner:
    """Signs and checks URLs. The key follows from the dataset, so that every process that serves it accepts them."""

    def __init__(self, dataset: str) -> None:
        self._key = hashlib.sha256(f"urls of {dataset}".encode()).digest()

    def path(self, identifier: str, name: str, *, signed_ms: int, seconds: int) -> str:
        """Return an object's path and query, ending in `name`, valid for `seconds` from `signed_ms`."""
        date = datetime.fromtimestamp(signed_ms // 1000, UTC).strftime(_DATE_FORMAT)
        query = {_DATE: date, _EXPIRES: seconds, _SIGNATURE: self._signature(identifier, date, str(seconds))}
        return f"{STORE}/{identifier}/{quote(name, safe='')}?{urlencode(query)}"

    def accepts(self, identifier: str, query: Mapping[str, str], now_ms: int) -> bool:
        """Return whether a request for an object has a valid signature that has not expired."""
        date, expires = query.get(_DATE, ""), query.get(_EXPIRES, "")
        expected = self._signature(identifier, date, expires)
        # compare_digest takes the same time no matter where the texts differ. Date and duration are parsed only after
        # it: a signed date is one that we wrote, while any other text could make strptime fail.
        if not hmac.compare_digest(expected.encode(), query.get(_SIGNATURE, "").encode()):
            return False
        signed = datetime.strptime(date, _DATE_FORMAT).replace(tzinfo=UTC)
        return now_ms < (signed.timestamp() + int(expires)) * 1000

    def _signature(self, identifier: str, date: str, expires: str) -> str:
        # The file name is not signed: a fault may change it, and the URL must still lead to the object. Newlines keep
        # the fields apart, because none of them contains one.
        return hmac.digest(self._key, f"{identifier}\n{date}\n{expires}".encode(), hashlib.sha256).hex()


def file_name(item: ObjectIdentity) -> str:
    """Return the file name of an object, in the style of a Spark writer with many parts."""
    ending = form if (form := item.job.query.format) == "parquet" else f"{form}.gz"
    writer = uuid.uuid5(uuid.NAMESPACE_OID, repr(item.job))
    return f"part-{item.index:05d}-{writer}-c000.{ending}"


def unsafe_name(fraction: float) -> str:
    """Return one of the file names that clients must not use; `fraction` is from 0 to below 1."""
    return _UNSAFE_NAMES[int(fraction * len(_UNSAFE_NAMES))]
