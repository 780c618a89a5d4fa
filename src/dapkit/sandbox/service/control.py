"""The control API under `/_sandbox/`: for tests and people that steer a sandbox in another process.

GET  /_sandbox/state     counts (see `Traffic`), clocks, faults
POST /_sandbox/clock     {"advance_hours": 4} or {"data_time": "…Z"}, and {"skip_seconds": 3600} of real time
POST /_sandbox/faults    {"faults": ["cut:20%", …]}; an empty list ends them
POST /_sandbox/reset     counts anew, forgets budgets and which jobs answer equal queries
"""

from typing import Any

from aiohttp import web

from dapkit.errors import UsageError
from dapkit.sandbox.service.backend import read_json
from dapkit.sandbox.service.clock import parse_timestamp, timestamp
from dapkit.sandbox.service.responses import Json, RefusedError
from dapkit.sandbox.service.state import Service

PREFIX = "/_sandbox"


class Control:
    """Steers one sandbox."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, app: web.Application) -> None:
        """Register the control routes."""
        app.router.add_get(f"{PREFIX}/state", self._state)
        app.router.add_post(f"{PREFIX}/clock", self._clock)
        app.router.add_post(f"{PREFIX}/faults", self._faults)
        app.router.add_post(f"{PREFIX}/reset", self._reset)

    def state(self) -> Json:
        """Return what `GET state` answers."""
        service = self._service
        return {
            "data_time": timestamp(service.moment.now_ms()),
            "real_time": timestamp(service.real.now_ms()),
            "faults": [fault.text for fault in service.faults.faults],
            "traffic": service.traffic.as_dict(),
        }

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response(self.state())

    async def _clock(self, request: web.Request) -> web.Response:
        try:
            fields = await _fields(request)
            if "data_time" in fields:
                self._service.moment.set(parse_timestamp(str(fields["data_time"])))
            if "advance_hours" in fields:
                self._service.moment.advance(float(fields["advance_hours"]))
            if "skip_seconds" in fields:
                self._service.real.skip(float(fields["skip_seconds"]))
        except (ValueError, TypeError) as error:
            return _refused(str(error))
        return web.json_response(self.state())

    async def _faults(self, request: web.Request) -> web.Response:
        try:
            fields = await _fields(request)
            self._service.faults.replace(fields.get("faults", []))
        except (ValueError, TypeError, UsageError) as error:
            return _refused(str(error))
        return web.json_response(self.state())

    async def _reset(self, _: web.Request) -> web.Response:
        service = self._service
        service.traffic.reset()
        service.backend.reset()
        if service.budgets is not None:
            service.budgets.reset()
        return web.json_response(self.state())


async def _fields(request: web.Request) -> dict[str, Any]:
    try:
        fields = read_json(await request.read())
    except RefusedError as error:
        raise ValueError(error.body["error"]["message"]) from None
    if not isinstance(fields, dict):
        message = "an object is expected"
        raise TypeError(message)
    return fields


def _refused(message: str) -> web.Response:
    return web.json_response({"message": message}, status=400)
