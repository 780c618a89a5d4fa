"""Log lines as JSON."""

import json

from dapkit.cli.json_lines import common_fields, error_fields, json_line
from dapkit.errors import ServerError

OFFICIAL = {"timestamp", "level", "message", "dap_namespace", "dap_table", "dap_client_id"}
"""Names by which users of the official client filter."""


def test_every_line_has_the_names_of_the_official_client() -> None:
    common = common_fields("r1", namespace="canvas", client_id="us-east-1#x")
    line = json_line(1_770_000_000.25, "warning", "größer", {**common, "dap_table": "users", "size": 3})
    assert line.isascii()
    made = json.loads(line)
    assert set(made) >= OFFICIAL
    assert made == {
        "timestamp": "2026-02-02T02:40:00.250Z",
        "level": "WARNING",
        "message": "größer",
        "dap_namespace": "canvas",
        "dap_table": "users",
        "dap_client_id": "us-east-1#x",
        "run_id": "r1",
        "event": "message",
        "job_id": None,
        "size": 3,
    }


def test_an_error_brings_its_fields_and_its_table() -> None:
    fields = error_fields(ServerError("It is 503", uuid="u-1", job_id="j-1"), "a")
    assert "message" not in fields
    expected = {"dap_table": "a", "table": "a", "code": "server", "uuid": "u-1", "job_id": "j-1", "exit_code": 23}
    assert expected.items() <= fields.items()
