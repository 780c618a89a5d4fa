"""Errors are an interface: codes and exit codes are stable, distinct and drawn in the module's own table."""

import re

from dapkit import errors
from dapkit.errors import DapError


def classes() -> list[type[DapError]]:
    found = [DapError]
    for each in found:
        found += each.__subclasses__()
    return [each for each in found[1:] if each.__module__.startswith(errors.__name__)]


def test_every_class_is_public_and_has_its_own_code() -> None:
    assert not any(each.__name__.startswith("_") for each in classes())
    codes = [each.code for each in classes()]
    assert len(codes) == len(set(codes)), sorted(codes)


def test_exit_codes_are_small_and_130_is_for_interruption_only() -> None:
    for each in classes():
        assert each.exit_code < 64 or each is errors.InterruptedRunError
        assert each.exit_code > 0


def test_the_tree_in_the_docstring_is_correct() -> None:
    drawn = dict(re.findall(r"── (\w+)\s+([\w-]+ +\d+)\n", errors.__doc__ or ""))
    for name, said in drawn.items():
        each = getattr(errors, name)
        assert said.split() == [each.code, str(each.exit_code)], name
    undrawn = {each.__name__ for each in classes()} - set(drawn)
    assert undrawn == {"CredentialsError", "ServiceError"}, "only the parents that are never raised have no code"


def test_as_dict_is_flat() -> None:
    error = errors.JobFailedError("it failed", table="users", job_id="j", uuid="u")
    assert error.as_dict() == {
        "code": "job-failed",
        "message": "it failed",
        "hint": errors.JobFailedError.default_hint,
        "table": "users",
        "job_id": "j",
        "uuid": "u",
        "retryable": True,
        "exit_code": 35,
    }
