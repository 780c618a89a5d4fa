"""Faults: a small language that says what goes wrong, how often and where, and the dice that decide it.

One fault is `KIND[:WORD]...[@ENDPOINT[,ENDPOINT]...]`. The words, in any order:

    20%           how often, of the requests it could befall (always, without one)
    5s            a time: how long a pause lasts, what Retry-After says, how long a failure sticks
    x3            at most so often in all
    sticky        of failed-job: an equal query gets the same failed job back
    date          of 429: Retry-After as a date
    anything else a table, or a pattern of tables: only their requests

For example `cut:20%`, `500:10%@job`, `failed-job:sticky:users`, `429:5%:2s@data,job`. The dice are seeded:
the same requests in the same order meet the same faults. Doing what was decided is the routes' and the
store's part.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dapkit.errors import UsageError

ENDPOINTS = ("login", "list", "schema", "data", "job", "url", "object")

_API = ENDPOINTS[:-1]
_QUERY = ("list", "schema", "data", "job", "url")
_JOB = ("data", "job")
_STATUSES = ("500", "502", "503", "504", "429")

KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    **{status: (ENDPOINTS, ENDPOINTS, f"answers {status}") for status in _STATUSES},
    "401": (_QUERY, _QUERY, "refuses the token"),
    "403": (_QUERY, ENDPOINTS, "forbids the request"),
    "account-disabled": (_QUERY, _API, "says that the account is disabled"),
    "account-not-onboarded": (_QUERY, _API, "says that the account is not set up"),
    "account-maintenance": (_QUERY, _API, "says that the account is under maintenance"),
    "html": (_API, ENDPOINTS, "answers a web page with status 200"),
    "html-error": (_API, ENDPOINTS, "answers a web page with status 502"),
    "bare": (_API, _API, "answers 500 without an error in the body"),
    "garbage": (_API, _API, "answers bytes that are no JSON"),
    "redirect": (_API, ENDPOINTS, "redirects to another host"),
    "drop": (ENDPOINTS, ENDPOINTS, "closes the connection without an answer"),
    "lost": (_API, _API, "does the work, then closes the connection without an answer"),
    "slow": (ENDPOINTS, ENDPOINTS, "waits before it answers (1 s)"),
    "absent": (_API, _API, "leaves a required field out of the answer"),
    "extra": (_API, _API, "adds unknown fields to the answer"),
    "unknown-state": (_JOB, _JOB, "gives the job a status that nobody knows"),
    "failed-job": (("data",), ("data",), "makes a job that fails"),
    "snapshot-required": (("data",), ("data",), "demands a new snapshot instead of an increment"),
    "out-of-range": (("data",), ("data",), "no longer keeps the range of an increment"),
    "expired-job": (("job",), ("job",), "forgets the job and its objects"),
    "expired-url": (("url",), ("url",), "signs URLs that have expired"),
    "evil-name": (("url",), ("url",), "names files that climb out of a folder"),
    "same-name": (("url",), ("url",), "gives all objects one name"),
    "cut": (("object",), ("object",), "closes the connection in the middle of the body"),
    "short": (("object",), ("object",), "announces and sends only the first part of the object"),
    "long": (("object",), ("object",), "sends more than it announced"),
    "corrupt": (("object",), ("object",), "flips one bit of the body"),
    "stall": (("object",), ENDPOINTS, "falls silent, in the middle of a body or before an answer"),
    "unannounced": (("object",), ("object",), "announces no length"),
    "endless": (("object",), ("object",), "announces no length and never ends"),
    "gone": (("object",), ("object",), "no longer has the object"),
}
"""Every kind: the endpoints it befalls by default, those it may befall, and what then happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault as it was written; `probability` is from 0 to 1, `tables` a pattern."""

    text: str
    kind: str
    endpoints: tuple[str, ...]
    probability: float = 1.0
    seconds: float | None = None
    limit: int | None = None
    sticky: bool = False
    date: bool = False
    tables: str | None = None

    def befalls(self, endpoint: str, table: str | None) -> bool:
        """Say whether it concerns a request."""
        if endpoint not in self.endpoints:
            return False
        return self.tables is None or (table is not None and fnmatchcase(table, self.tables))


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A fault that happens now; `fraction` (from 0, below 1) says where in the body."""

    fault: Fault
    fraction: float

    @property
    def kind(self) -> str:
        """The fault's kind."""
        return self.fault.kind


def parse_fault(text: str) -> Fault:
    """Read one fault; raise UsageError when it is written wrongly."""
    head, at, where = text.strip().partition("@")
    kind, *words = head.split(":")
    if kind not in KINDS:
        raise UsageError(f"Unknown fault {kind!r} in {text!r}.", hint=f"Known are: {', '.join(KINDS)}.")
    default, allowed, _ = KINDS[kind]
    endpoints = tuple(where.split(",")) if at else default
    wrong = [endpoint for endpoint in endpoints if endpoint not in allowed]
    if wrong:
        raise UsageError(f"The fault {kind} cannot befall {wrong[0]!r}.", hint=f"It may befall: {', '.join(allowed)}.")
    fields: dict[str, Any] = {}
    for word in words:
        name, value = _read_word(word, text)
        if name in fields:
            raise UsageError(f"The fault {text!r} says {name} twice.")
        fields[name] = value
    return Fault(text=text, kind=kind, endpoints=endpoints, **fields)


def _read_word(word: str, text: str) -> tuple[str, object]:
    if not word:
        raise UsageError(f"The fault {text!r} has an empty word.")
    if word in ("sticky", "date"):
        return word, True
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)%", word):
        if not 0 < float(match[1]) <= 100:
            raise UsageError(f"{word} in {text!r} is not above 0% and at most 100%.")
        return "probability", float(match[1]) / 100
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)s", word):
        return "seconds", float(match[1])
    if match := re.fullmatch(r"[x\u00d7](\d+)", word):
        if int(match[1]) == 0:
            raise UsageError(f"The fault {text!r} would never happen.", hint="Leave it out.")
        return "limit", int(match[1])
    if re.fullmatch(r"[\w*?\[\]!-]+", word) and not word[0].isdigit():
        return "tables", word
    raise UsageError(f"{word!r} in the fault {text!r} is not understood.", hint="For example: cut:20%:x3")


class FaultPlan:
    """The faults in force, their dice, and how often each has happened."""

    def __init__(self, faults: Iterable[str] = (), *, seed: int = 1) -> None:
        self._seed = seed
        self.happened: Counter[str] = Counter()
        self.replace(faults)

    def replace(self, faults: Iterable[str]) -> None:
        """Put other faults in force, with fresh dice; none to end them."""
        self.faults = tuple(parse_fault(text) for text in faults)
        self._dice = [random.Random(f"{self._seed}/{place}/{fault.text}") for place, fault in enumerate(self.faults)]
        self.happened.clear()

    def decide(self, endpoint: str, table: str | None = None) -> Occurrence | None:
        """Throw the dice for one request; the first fault that comes up happens."""
        for fault, dice in zip(self.faults, self._dice, strict=True):
            if not fault.befalls(endpoint, table):
                continue
            if fault.limit is not None and self.happened[fault.text] >= fault.limit:
                continue
            comes_up, fraction = dice.random() < fault.probability, dice.random()
            if comes_up:
                self.happened[fault.text] += 1
                return Occurrence(fault=fault, fraction=fraction)
        return None
