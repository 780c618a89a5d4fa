"""The object store, where signed URLs lead: sends spooled objects, whole, from an offset, or spoilt.

It knows no accounts: a request is good for its signature, and one that carries an Authorization header as
well is refused, as real stores do. Its errors are XML.
"""

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from aiohttp import web

from dapkit.sandbox.faults.fault_responses import instead, refusal, silence
from dapkit.sandbox.faults.rules import Occurrence
from dapkit.sandbox.service.identifiers import ObjectIdentity
from dapkit.sandbox.service.object_cache import SpooledObject
from dapkit.sandbox.service.responses import RefusedError
from dapkit.sandbox.service.signing import STORE
from dapkit.sandbox.service.state import Service
from dapkit.sandbox.service.traffic import ObjectCount

MEDIA_TYPES = {
    "tsv": "text/plain",
    "csv": "text/csv",
    "jsonl": "application/jsonlines",
    "parquet": "application/parquet",
}

_CHUNK = 1 << 18
_ENDLESS_BYTES = b"\x00" * _CHUNK


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """What is sent of an object: bytes [start, stop) of `size`."""

    start: int
    stop: int
    size: int
    partial: bool


class Store:
    """Serves objects of one sandbox."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, app: web.Application) -> None:
        """Register the store's one route."""
        app.router.add_route("*", STORE + r"/{object}{rest:[\s\S]*}", self.answer, name="object")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request for an object."""
        service = self._service
        identifier = request.match_info["object"]
        if (error := self._refuse(request, identifier)) is not None:
            return error
        try:
            item = service.backend.live_object(identifier)
        except RefusedError:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        occurrence = service.decide("object", item.job.table)
        if (error := _faulty(service, occurrence)) is not None:
            return error
        stalls = occurrence is not None and occurrence.kind == "stall"  # in the middle of the body, not before it
        if not stalls and (response := await instead(service, request, occurrence)) is not None:
            return response
        async with service.spool.lease(service.backend.part(item)) as spooled:
            return await self._send(request, item, spooled, occurrence)

    def _refuse(self, request: web.Request, identifier: str) -> web.Response | None:
        service = self._service
        if "Authorization" in request.headers or "x-instauth" in request.headers:
            service.traffic.leaks.append("credentials sent to the object store")
            return _error(400, "InvalidArgument", "Only one auth mechanism allowed")
        if request.method != "GET":
            return _error(403, "SignatureDoesNotMatch", "The URL is signed for another method.")
        if not service.signer.accepts(identifier, request.query, service.real.now_ms()):
            return _error(403, "AccessDenied", "Request has expired or is not signed")
        return None

    async def _send(
        self,
        request: web.Request,
        item: ObjectIdentity,
        spooled: SpooledObject,
        occurrence: Occurrence | None,
    ) -> web.StreamResponse:
        kind = occurrence.kind if occurrence else None
        etag = f'"{spooled.crc32:08x}{spooled.size:08x}-1"'
        span = self._span(request, spooled.size, etag)
        if span is None:
            return _error(416, "InvalidRange", "The requested range is not satisfiable", size=spooled.size)
        if occurrence is not None and kind == "short":
            stop = span.start + max(1, int((span.stop - span.start) * occurrence.fraction))
            span = _Span(start=span.start, stop=stop, size=stop, partial=span.partial)
        response = web.StreamResponse(status=206 if span.partial else 200)
        response.content_type = MEDIA_TYPES[item.job.format]
        response.headers["ETag"] = etag
        if kind not in ("endless", "unannounced"):
            response.content_length = span.stop - span.start
        if self._service.options.ranges:
            response.headers["Accept-Ranges"] = "bytes"
        if span.partial:
            response.headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{span.size}"
        elif spooled.checksum:
            algorithm = self._service.options.checksum
            response.headers[f"x-amz-checksum-{algorithm}"] = base64.b64encode(spooled.checksum).decode()
        count = self._service.traffic.of_object(request.match_info["object"])
        count.requests += 1
        await response.prepare(request)
        async for chunk in self._body(request, spooled, span, occurrence):
            await response.write(chunk)
            count.bytes += len(chunk)
        _count_whole(count, span, kind)
        return response

    def _span(self, request: web.Request, size: int, etag: str) -> _Span | None:
        """Return what to send for the request's Range; None when it lies outside."""
        whole = _Span(start=0, stop=size, size=size, partial=False)
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
        if not self._service.options.ranges or match is None or not (match[1] or match[2]):
            return whole
        if request.headers.get("If-Range", etag) != etag:
            return whole
        if match[1]:
            start, stop = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        else:
            start, stop = max(0, size - int(match[2])), size
        return _Span(start=start, stop=stop, size=size, partial=True) if start < stop else None

    async def _body(
        self, request: web.Request, spooled: SpooledObject, span: _Span, occurrence: Occurrence | None
    ) -> AsyncIterator[bytes]:
        """Yield the span's bytes, as a fault leaves them."""
        kind = occurrence.kind if occurrence else None
        fraction = occurrence.fraction if occurrence else 0.0
        spot = span.start + int((span.stop - span.start) * fraction)
        ends = span.stop if kind not in ("cut", "stall") else spot
        with spooled.path.open("rb") as file:
            file.seek(span.start)
            position = span.start
            while position < ends:
                # Read in the event loop: the file was just written, so this is a copy from memory.
                chunk = file.read(min(_CHUNK, ends - position))
                if kind == "corrupt" and position <= spot < position + len(chunk):
                    chunk = _flipped(chunk, spot - position)
                position += len(chunk)
                yield chunk
        if occurrence is not None and kind == "stall":
            await silence(self._service, occurrence)
        elif kind == "long" and request.transport is not None:
            request.transport.write(b"more than was announced\n" * 64)
        if kind in ("cut", "stall", "long") and request.transport is not None:
            # Closed, not aborted: what was sent before arrives.
            request.transport.close()
        while kind == "endless":
            yield _ENDLESS_BYTES


def _flipped(chunk: bytes, place: int) -> bytes:
    changed = bytearray(chunk)
    changed[place] ^= 1
    return bytes(changed)


def _count_whole(count: ObjectCount, span: _Span, kind: str | None) -> None:
    if not span.partial and kind not in ("cut", "stall", "short"):
        count.whole += 1


def _faulty(service: Service, occurrence: Occurrence | None) -> web.Response | None:
    if occurrence is None:
        return None
    if occurrence.kind == "gone":
        return _error(404, "NoSuchKey", "The specified key does not exist.")
    error = refusal(service, occurrence)
    if error is None:
        return None
    code = {403: "AccessDenied", 429: "TooManyRequests", 503: "SlowDown"}.get(error.status, "InternalError")
    response = _error(error.status, code, "The store cannot answer now.")
    response.headers.update(error.headers)
    return response


def _error(status: int, code: str, message: str, *, size: int | None = None) -> web.Response:
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}\n'
    response = web.Response(status=status, text=text, content_type="application/xml")
    if size is not None:
        response.headers["Content-Range"] = f"bytes */{size}"
    return response
