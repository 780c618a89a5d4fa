"""Counts of what was asked and sent."""

import json

from dapkit.sandbox.service.traffic import Traffic


def busy() -> Traffic:
    traffic = Traffic()
    traffic.answers["job", 202] += 3
    traffic.answers["job", 200] += 1
    traffic.answers["object", 200] += 1
    traffic.of_object("a").bytes += 10
    traffic.of_object("a").requests += 2
    traffic.of_object("b").bytes += 5
    traffic.faults["cut"] += 1
    traffic.leaks.append("a secret")
    return traffic


def test_sums() -> None:
    traffic = busy()
    assert traffic.requests("job") == 4
    assert traffic.requests("login") == 0
    assert traffic.object_bytes == 15


def test_as_json() -> None:
    answer = json.loads(json.dumps(busy().as_dict()))
    assert answer["answers"] == {"job": {"200": 1, "202": 3}, "object": {"200": 1}}
    assert answer["objects"]["a"] == {"requests": 2, "bytes": 10, "whole": 0}
    assert answer["faults"] == {"cut": 1}
    assert answer["leaks"] == ["a secret"]


def test_reset() -> None:
    traffic = busy()
    traffic.reset()
    assert traffic == Traffic()
