"""Counts of requests and responses, for tests that observe a client from the outside."""

from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass(slots=True, kw_only=True)
class ObjectTraffic:
    """What was sent of one object: responses started, bytes of bodies, and complete responses from the first byte."""

    requests: int = 0
    bytes: int = 0
    complete: int = 0


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Counts since the start or the last reset.

    `responses` counts by endpoint and status; a dropped connection has status 0. `objects` is keyed by object
    identifier, `faults` by the text of the rule. `credential_leaks` describes requests that carried credentials to
    a place that must not see them.
    """

    responses: Counter[tuple[str, int]] = field(default_factory=Counter)
    objects: dict[str, ObjectTraffic] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    credential_leaks: list[str] = field(default_factory=list)

    @property
    def object_bytes(self) -> int:
        """Bytes of all object bodies."""
        return sum(count.bytes for count in self.objects.values())

    def of_object(self, identifier: str) -> ObjectTraffic:
        """Return the counts of one object, for the caller to add to."""
        return self.objects.setdefault(identifier, ObjectTraffic())

    def reset(self) -> None:
        """Set all counts to zero."""
        self.responses.clear()
        self.objects.clear()
        self.faults.clear()
        self.credential_leaks.clear()

    def as_dict(self) -> dict[str, object]:
        """Return the counts as one JSON object."""
        responses: dict[str, dict[str, int]] = {}
        for (endpoint, status), count in sorted(self.responses.items()):
            responses.setdefault(endpoint, {})[str(status)] = count
        return {
            "responses": responses,
            "object_bytes": self.object_bytes,
            "objects": {name: asdict(count) for name, count in self.objects.items()},
            "faults": dict(self.faults),
            "credential_leaks": list(self.credential_leaks),
        }
