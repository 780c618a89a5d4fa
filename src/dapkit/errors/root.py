"""The base class of all errors."""

from typing import ClassVar


class DapError(Exception):
    """The base class of all errors that dapkit raises on purpose.

    Args:
        message: what happened, without a full stop at the end, and without credentials or URL signatures.
        hint: what to do, in full sentences.
        table: the table that it concerns.
        job_id: the service's job that it concerns.
        uuid: the service's identifier of the error, for Instructure support.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: bool = False
    default_hint: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        table: str | None = None,
        job_id: str | None = None,
        uuid: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint
        self.table = table
        self.job_id = job_id
        self.uuid = uuid

    def as_dict(self) -> dict[str, object]:
        """Return the error as one flat JSON object; absent fields are null."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint or None,
            "table": self.table,
            "job_id": self.job_id,
            "uuid": self.uuid,
            "retryable": self.retryable,
            "exit_code": self.exit_code,
        }
