"""The control API under `/_sandbox/`, for tests and people who control a sandbox in another process.

GET  /_sandbox/state     clocks, fault rules and counts (see `Traffic`)
POST /_sandbox/clock     {"advance_hours": 4} or {"data_time": "…Z"} for the data, {"skip_seconds": 3600} for real time
POST /_sandbox/faults    {"faults": ["cut:20%", …]} replaces all rules; an empty list removes them
POST /_sandbox/reset     sets counts and budgets to zero, and forgets which jobs answer equal queries

Each returns the state.
"""

from typing import Any

from aiohttp import web

from dapkit.errors import UsageError
from dapkit.sandbox.service.backend import parse_json
from dapkit.sandbox.service.clock import parse_timestamp, timestamp
from dapkit.sandbox.service.responses import ApiError
from dapkit.sandbox.service.state import SandboxState

PREFIX = "/_sandbox"


class Control:
    """Controls one sandbox."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def add_to(self, app: web.Application) -> None:
        """Register the control routes."""
        app.router.add_get(f"{PREFIX}/state", self._get_state)
        app.router.add_post(f"{PREFIX}/clock", self._set_clock)
        app.router.add_post(f"{PREFIX}/faults", self._set_faults)
        app.router.add_post(f"{PREFIX}/reset", self._reset)

    async def _get_state(self, _: web.Request) -> web.Response:
        return self._state_response()

    async def _set_clock(self, request: web.Request) -> web.Response:
        try:
            fields = await _parse_fields(request)
            if "data_time" in fields:
                self._state.data_clock.set(parse_timestamp(str(fields["data_time"])))
            if "advance_hours" in fields:
                self._state.data_clock.advance(float(fields["advance_hours"]))
            if "skip_seconds" in fields:
                self._state.real_clock.skip(float(fields["skip_seconds"]))
        except (ValueError, TypeError) as error:
            return _rejected(str(error))
        return self._state_response()

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            fields = await _parse_fields(request)
            self._state.faults.replace(fields.get("faults", []))
        except (ValueError, TypeError, UsageError) as error:
            return _rejected(str(error))
        return self._state_response()

    async def _reset(self, _: web.Request) -> web.Response:
        self._state.traffic.reset()
        self._state.backend.reset()
        if self._state.budgets is not None:
            self._state.budgets.reset()
        return self._state_response()

    def _state_response(self) -> web.Response:
        state = self._state
        return web.json_response(
            {
                "data_time": timestamp(state.data_clock.now_ms()),
                "real_time": timestamp(state.real_clock.now_ms()),
                "faults": [rule.text for rule in state.faults.rules],
                "traffic": state.traffic.as_dict(),
            }
        )


async def _parse_fields(request: web.Request) -> dict[str, Any]:
    try:
        fields = parse_json(await request.read())
    except ApiError as error:
        raise ValueError(error.body["error"]["message"]) from None
    if not isinstance(fields, dict):
        message = "The body must be a JSON object"
        raise TypeError(message)
    return fields


def _rejected(message: str) -> web.Response:
    return web.json_response({"message": message}, status=400)
