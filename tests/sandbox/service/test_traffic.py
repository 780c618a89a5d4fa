"""Counts of requests and responses."""

import json

from dapkit.sandbox.service.traffic import Traffic


def busy() -> Traffic:
    traffic = Traffic()
    traffic.responses["job", 202] += 3
    traffic.responses["job", 200] += 1
    traffic.responses["object", 200] += 1
    traffic.of_object("a").bytes += 10
    traffic.of_object("a").requests += 2
    traffic.of_object("b").bytes += 5
    traffic.faults["cut"] += 1
    traffic.credential_leaks.append("a secret")
    return traffic


def test_object_bytes_are_summed() -> None:
    assert busy().object_bytes == 15


def test_as_json() -> None:
    answer = json.loads(json.dumps(busy().as_dict()))
    assert answer["responses"] == {"job": {"200": 1, "202": 3}, "object": {"200": 1}}
    assert answer["objects"]["a"] == {"requests": 2, "bytes": 10, "complete": 0}
    assert answer["faults"] == {"cut": 1}
    assert answer["credential_leaks"] == ["a secret"]


def test_reset() -> None:
    traffic = busy()
    traffic.reset()
    assert traffic == Traffic()
