"""The root of the tree of errors."""

from typing import ClassVar


class DapError(Exception):
    """The root: whatever dapkit raises on purpose.

    Args:
        message: what is wrong, one or two sentences, without credentials or URL signatures.
        hint: what to do about it.
        table: the table it concerns, if one.
        job_id: the service's job, if one.
        uuid: the service's own identifier of the error, which its support asks for.
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
