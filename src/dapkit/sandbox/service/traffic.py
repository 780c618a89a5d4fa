"""What the sandbox was asked and what it sent: for tests that look at a client from outside."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class ObjectCount:
    """What was sent of one object: answers begun, bytes of bodies, answers sent whole from the start."""

    requests: int = 0
    bytes: int = 0
    whole: int = 0


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Counts since the start, or since the last reset.

    `answers` counts by endpoint and status, a dropped connection as status 0. `objects` is by object
    identifier. `leaks` names requests that carried credentials where none belong. `faults` counts by the
    fault's text.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    objects: dict[str, ObjectCount] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)

    @property
    def object_bytes(self) -> int:
        """Bytes of object bodies sent."""
        return sum(count.bytes for count in self.objects.values())

    def requests(self, endpoint: str) -> int:
        """How many requests an endpoint has answered, whatever the answer."""
        return sum(count for (name, _), count in self.answers.items() if name == endpoint)

    def of_object(self, identifier: str) -> ObjectCount:
        """Return the count of one object, to be added to."""
        return self.objects.setdefault(identifier, ObjectCount())

    def reset(self) -> None:
        """Start counting anew."""
        self.answers.clear()
        self.objects.clear()
        self.faults.clear()
        self.leaks.clear()

    def as_dict(self) -> dict[str, object]:
        """Return the counts as one JSON object."""
        answers: dict[str, dict[str, int]] = {}
        for (endpoint, status), count in sorted(self.answers.items()):
            answers.setdefault(endpoint, {})[str(status)] = count
        objects = {
            name: {"requests": count.requests, "bytes": count.bytes, "whole": count.whole}
            for name, count in self.objects.items()
        }
        return {
            "answers": answers,
            "object_bytes": self.object_bytes,
            "objects": objects,
            "faults": dict(self.faults),
            "leaks": list(self.leaks),
        }
