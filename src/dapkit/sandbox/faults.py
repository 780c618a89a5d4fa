"""Fault rules: which requests fail, how, and how often.

A rule is written as `KIND[:OPTION]...[@ENDPOINT[,ENDPOINT]...]`. The options may come in any order:

    20%           probability for each request that the rule applies to (100% by default)
    5s            a duration: of a pause, of Retry-After, or of a sticky failure
    x3            at most this many times in total
    sticky        only for failed-job: an equal query returns the same failed job
    date          only for 429: Retry-After is a date
    anything else a table name or pattern: only requests for these tables

For example `cut:20%`, `500:10%@job`, `failed-job:sticky:users`, `429:5%:2s@data,job`.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dapkit.errors import UsageError
from dapkit.sandbox.data.oddities import ODDITIES

ENDPOINTS = ("login", "list", "schema", "data", "job", "url", "object")

_STATUSES = ("500", "502", "503", "504", "429")
_API = ENDPOINTS[:-1]
_QUERY = _API[1:]
_JOB = ("data", "job")
_DATA = ("data",)
_URL = ("url",)
_OBJECT = ("object",)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """What a kind of fault does, the endpoints it applies to by default, and those it may be limited to with `@`."""

    effect: str
    default: tuple[str, ...]
    allowed: tuple[str, ...]


KINDS: dict[str, FaultKind] = {
    **{status: FaultKind(f"responds with {status}", ENDPOINTS, ENDPOINTS) for status in _STATUSES},
    "401": FaultKind("rejects the token", _QUERY, _QUERY),
    "403": FaultKind("forbids the request", _QUERY, ENDPOINTS),
    "account-disabled": FaultKind("says that the account is disabled", _QUERY, _API),
    "account-not-onboarded": FaultKind("says that the account is not set up", _QUERY, _API),
    "account-maintenance": FaultKind("says that the account is under maintenance", _QUERY, _API),
    "html": FaultKind("returns a web page with status 200", _API, ENDPOINTS),
    "html-error": FaultKind("returns a web page with status 502", _API, ENDPOINTS),
    "empty-error": FaultKind("returns 500 with an empty JSON object", _API, _API),
    "invalid-json": FaultKind("returns a body that is not JSON", _API, _API),
    "redirect": FaultKind("redirects to another host", _API, ENDPOINTS),
    "drop": FaultKind("closes the connection without a response", ENDPOINTS, ENDPOINTS),
    "lost-response": FaultKind("does the work, then closes the connection", _API, _API),
    "slow": FaultKind("waits before it responds (1 s by default)", ENDPOINTS, ENDPOINTS),
    "missing-field": FaultKind("leaves out a required field", _API, _API),
    "extra-fields": FaultKind("adds unknown fields", _API, _API),
    "unknown-state": FaultKind("gives the job an unknown status", _JOB, _JOB),
    "failed-job": FaultKind("creates a job that fails", _DATA, _DATA),
    "snapshot-required": FaultKind("requires a new snapshot instead of an increment", _DATA, _DATA),
    "repeated-snapshot": FaultKind("denies a second snapshot (within 1 h by default)", _DATA, _DATA),
    "out-of-range": FaultKind("rejects the start of an increment as too old", _DATA, _DATA),
    "expired-job": FaultKind("deletes the job and its objects", ("job",), ("job",)),
    "expired-url": FaultKind("signs URLs that have already expired", _URL, _URL),
    "unsafe-name": FaultKind("suggests file names that escape from a folder", _URL, _URL),
    "same-name": FaultKind("gives all objects the same name", _URL, _URL),
    "cut": FaultKind("closes the connection in the middle of the body", _OBJECT, _OBJECT),
    "short": FaultKind("announces and sends only the first part of the object", _OBJECT, _OBJECT),
    "long": FaultKind("sends more bytes than it announced", _OBJECT, _OBJECT),
    "corrupt": FaultKind("flips one bit of the body", _OBJECT, _OBJECT),
    "stall": FaultKind("stops sending during a body or before a response", _OBJECT, ENDPOINTS),
    "no-length": FaultKind("announces no length", _OBJECT, _OBJECT),
    "endless": FaultKind("announces no length and never ends", _OBJECT, _OBJECT),
    "missing-object": FaultKind("no longer has the object", _OBJECT, _OBJECT),
    **{kind: FaultKind(effect, _OBJECT, _OBJECT) for kind, effect in ODDITIES.items()},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """A parsed rule. `text` is the rule as written, `probability` is from 0 to 1, `tables` is a pattern."""

    text: str
    kind: str
    endpoints: tuple[str, ...]
    probability: float = 1.0
    seconds: float | None = None
    limit: int | None = None
    sticky: bool = False
    date: bool = False
    tables: str | None = None

    def applies_to(self, endpoint: str, table: str | None) -> bool:
        """Return whether this fault can affect a request."""
        if endpoint not in self.endpoints:
            return False
        return self.tables is None or (table is not None and fnmatchcase(table, self.tables))


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectedFault:
    """A fault that happens to one request. `fraction` (0 up to, but not including, 1) says where in the body."""

    rule: FaultRule
    fraction: float

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self.rule.kind


def parse_fault(text: str) -> FaultRule:
    """Parse one rule. Raises UsageError for an invalid one."""
    head, at, where = text.strip().partition("@")
    kind, *options = head.split(":")
    if kind not in KINDS:
        raise UsageError(f"Unknown kind of fault: {kind!r}", hint=f"Supported faults: {', '.join(KINDS)}.")
    allowed = KINDS[kind].allowed
    endpoints = tuple(where.split(",")) if at else KINDS[kind].default
    wrong = [endpoint for endpoint in endpoints if endpoint not in allowed]
    if wrong:
        raise UsageError(
            f"Fault {kind!r} does not apply to {wrong[0]!r}; it applies to: {', '.join(allowed)}",
            hint=f"Remove @{where}, or name one of these endpoints.",
        )
    fields: dict[str, Any] = {}
    for option in options:
        name, value = _parse_option(option, text)
        if name in fields:
            raise UsageError(f"Fault {text!r} sets {name} twice", hint="Give each option once.")
        fields[name] = value
    return FaultRule(text=text, kind=kind, endpoints=endpoints, **fields)


def _parse_option(option: str, text: str) -> tuple[str, object]:
    if option in ("sticky", "date"):
        return option, True
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)%", option):
        if not 0 < float(match[1]) <= 100:
            raise UsageError(
                f"Invalid probability {option!r} in fault {text!r}",
                hint="Use a percentage greater than 0 and at most 100.",
            )
        return "probability", float(match[1]) / 100
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)s", option):
        return "seconds", float(match[1])
    if match := re.fullmatch(r"[x\u00d7](\d+)", option):
        if int(match[1]) == 0:
            raise UsageError(f"Fault {text!r} would never happen", hint="Leave the fault out.")
        return "limit", int(match[1])
    if re.fullmatch(r"[\w*?\[\]!-]+", option) and not option[0].isdigit():
        return "tables", option
    raise UsageError(f"Invalid option {option!r} in fault {text!r}", hint="A valid example is cut:20%:x3.")


class FaultPlan:
    """The rules in force. The same seed and the same requests in the same order give the same faults."""

    def __init__(self, rules: Iterable[str] = (), *, seed: int = 1) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()
        self.replace(rules)

    def replace(self, rules: Iterable[str]) -> None:
        """Replace all rules and restart their random generators. Raises UsageError and changes nothing if invalid."""
        self.rules = tuple(parse_fault(text) for text in rules)
        # Each rule has its own generator: adding a rule does not change which requests the others hit.
        self._generators = [random.Random(f"{self._seed}/{index}/{rule.text}") for index, rule in enumerate(self.rules)]
        self._counts.clear()

    def decide(self, endpoint: str, table: str | None = None) -> InjectedFault | None:
        """Return the fault to inject into one request: that of the first rule that applies and is drawn, if any."""
        for rule, generator in zip(self.rules, self._generators, strict=True):
            if not rule.applies_to(endpoint, table):
                continue
            if rule.limit is not None and self._counts[rule.text] >= rule.limit:
                continue
            # Draw both numbers in any case, so that each request consumes the same amount of randomness.
            happens, fraction = generator.random() < rule.probability, generator.random()
            if happens:
                self._counts[rule.text] += 1
                return InjectedFault(rule=rule, fraction=fraction)
        return None
