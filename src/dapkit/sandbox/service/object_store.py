"""The object store, to which signed URLs lead: it sends rendered objects, complete or from an offset.

It has no accounts: a valid signature of the URL grants access. Like real stores, it rejects a request that carries
an Authorization header as well. Its errors are XML.
"""

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from aiohttp import web

from dapkit.sandbox.data.oddities import ODDITIES
from dapkit.sandbox.faults import InjectedFault
from dapkit.sandbox.service.fault_responses import fault_response, stall
from dapkit.sandbox.service.identifiers import ObjectIdentity
from dapkit.sandbox.service.object_cache import CachedObject
from dapkit.sandbox.service.responses import ApiError
from dapkit.sandbox.service.signing import STORE
from dapkit.sandbox.service.state import SandboxState

MEDIA_TYPES = {
    "tsv": "text/plain",
    "csv": "text/csv",
    "jsonl": "application/jsonlines",
    "parquet": "application/parquet",
}

_CHUNK = 1 << 18
_ERROR_CODES = {403: "AccessDenied", 429: "TooManyRequests", 503: "SlowDown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByteRange:
    """What is sent of an object: bytes [start, stop) of `size`."""

    start: int
    stop: int
    size: int
    partial: bool


class ObjectStore:
    """Serves the objects of one sandbox."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def add_to(self, app: web.Application) -> None:
        """Register the only route of the store."""
        # The name may contain anything, newlines included: it is part of the URL, but only the identifier counts.
        app.router.add_route("*", STORE + r"/{object}{rest:[\s\S]*}", self.respond, name="object")

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Respond to one request for an object."""
        state = self._state
        identifier = request.match_info["object"]
        if (error := self._check(request, identifier)) is not None:
            return error
        try:
            item = state.backend.live_object(identifier)
        except ApiError:
            return _no_such_key()
        fault = state.decide_fault("object", item.job.query.table)
        if fault is not None and fault.kind == "missing-object":
            return _no_such_key()
        stalls = fault is not None and fault.kind == "stall"  # in the middle of the body, not before it
        try:
            if not stalls and (response := await fault_response(state, request, fault)) is not None:
                return response
        except ApiError as failure:
            response = _error(failure.status, _ERROR_CODES.get(failure.status, "InternalError"), "The store failed")
            response.headers.update(failure.headers)
            return response
        part = state.backend.part(item)
        # Another order of columns is an oddity only next to objects in the usual one.
        if fault is not None and fault.kind in ODDITIES and (fault.kind != "column-order" or item.index % 2):
            part = replace(part, oddity=fault.kind)
        async with state.cache.lease(part) as cached:
            return await self._send(request, item, cached, fault)

    def _check(self, request: web.Request, identifier: str) -> web.Response | None:
        state = self._state
        if "Authorization" in request.headers or "x-instauth" in request.headers:
            state.traffic.credential_leaks.append("credentials sent to the object store")
            return _error(400, "InvalidArgument", "Only one auth mechanism allowed")
        if request.method != "GET":
            return _error(403, "SignatureDoesNotMatch", "The URL is signed for another method")
        if not state.signer.accepts(identifier, request.query, state.real_clock.now_ms()):
            return _error(403, "AccessDenied", "Request has expired or is not signed")
        return None

    async def _send(
        self, request: web.Request, item: ObjectIdentity, cached: CachedObject, fault: InjectedFault | None
    ) -> web.StreamResponse:
        kind = fault.kind if fault else None
        etag = f'"{cached.crc32:08x}{cached.size:08x}-1"'
        sent = self._select_range(request, cached.size, etag)
        if sent is None:
            return _error(416, "InvalidRange", "The requested range is not satisfiable", size=cached.size)
        if fault is not None and kind == "short":
            stop = sent.start + max(1, int((sent.stop - sent.start) * fault.fraction))
            # The size shrinks too: for the client, this looks like a complete but smaller object.
            sent = _ByteRange(start=sent.start, stop=stop, size=stop, partial=sent.partial)
        response = web.StreamResponse(status=206 if sent.partial else 200)
        response.content_type = MEDIA_TYPES[item.job.query.format]
        response.headers["ETag"] = etag
        if kind not in ("endless", "no-length"):
            response.content_length = sent.stop - sent.start
        if self._state.options.ranges:
            response.headers["Accept-Ranges"] = "bytes"
        if sent.partial:
            response.headers["Content-Range"] = f"bytes {sent.start}-{sent.stop - 1}/{sent.size}"
        elif cached.checksum:
            # Only with the complete object, as real stores do: the checksum covers all of its bytes.
            algorithm = self._state.options.checksum
            response.headers[f"x-amz-checksum-{algorithm}"] = base64.b64encode(cached.checksum).decode()
        count = self._state.traffic.of_object(request.match_info["object"])
        count.requests += 1
        await response.prepare(request)
        async for chunk in self._body(request, cached, sent, fault):
            await response.write(chunk)
            count.bytes += len(chunk)
        if not sent.partial and kind not in ("cut", "stall", "short"):
            count.complete += 1
        return response

    def _select_range(self, request: web.Request, size: int, etag: str) -> _ByteRange | None:
        """Return what to send for the Range header, or None for a range outside the object."""
        everything = _ByteRange(start=0, stop=size, size=size, partial=False)
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
        if not self._state.options.ranges or match is None or not (match[1] or match[2]):
            return everything
        if request.headers.get("If-Range", etag) != etag:
            return everything
        if match[1]:
            start, stop = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        else:
            start, stop = max(0, size - int(match[2])), size
        return _ByteRange(start=start, stop=stop, size=size, partial=True) if start < stop else None

    async def _body(
        self, request: web.Request, cached: CachedObject, sent: _ByteRange, fault: InjectedFault | None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes of the range as the fault changes them."""
        kind = fault.kind if fault else None
        target = sent.start + int((sent.stop - sent.start) * (fault.fraction if fault else 0.0))
        end = target if kind in ("cut", "stall") else sent.stop
        with cached.path.open("rb") as file:
            file.seek(sent.start)
            position = sent.start
            while position < end:
                # Read in the event loop: the file was written recently, so this copies from the page cache.
                chunk = file.read(min(_CHUNK, end - position))
                if kind == "corrupt" and position <= target < position + len(chunk):
                    chunk = _flip_bit(chunk, target - position)
                position += len(chunk)
                yield chunk
        if fault is not None and kind == "stall":
            await stall(self._state, fault)
        elif kind == "long" and request.transport is not None:
            # Bypass aiohttp, which does not write more than the announced length.
            request.transport.write(b"more than was announced\n" * 64)
        if kind in ("cut", "stall", "long") and request.transport is not None:
            # close, not abort: the bytes written before still arrive.
            request.transport.close()
        while kind == "endless":
            yield bytes(_CHUNK)


def _flip_bit(chunk: bytes, index: int) -> bytes:
    changed = bytearray(chunk)
    changed[index] ^= 1
    return bytes(changed)


def _no_such_key() -> web.Response:
    return _error(404, "NoSuchKey", "The specified key does not exist.")


def _error(status: int, code: str, message: str, *, size: int | None = None) -> web.Response:
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}\n'
    response = web.Response(status=status, text=text, content_type="application/xml")
    if size is not None:
        response.headers["Content-Range"] = f"bytes */{size}"
    return response
