"""Descriptions for the tests: enrollments of users, and comments about one of several things."""

from typing import Any

from dapkit.describe.description import TableDescription, describe_table
from dapkit.describe.relations import Relations, read_relations
from dapkit.model import VersionedSchema
from dapkit.schema import read_table

ID = {"type": "integer", "format": "int64"}
USER_ID = {**ID, "description": "The user."}


def line(table: str, column: str, references: str = "", *, key: bool = False, nullable: bool = False) -> dict[str, str]:
    """Return a row of the catalogue."""
    return {
        "namespace": "canvas",
        "table": table,
        "column": column,
        "key": "1" if key else "0",
        "nullable": "1" if nullable else "0",
        "references": references,
    }


def relations() -> Relations:
    return read_relations(
        [
            line("users", "id", key=True),
            line("users", "merged_into_user_id", "canvas.users", nullable=True),
            line("enrollments", "id", key=True),
            line("enrollments", "user_id", "canvas.users"),
            line("enrollments", "batch_id", "canvas.batches", nullable=True),
            line("states", "enrollment_id", "canvas.enrollments", key=True),
            line("comments", "id", key=True),
            line("comments", "context_id", "canvas.users|canvas.enrollments|canvas.batches"),
        ]
    )


def described(
    name: str,
    value: dict[str, Any],
    *,
    key: dict[str, Any] | None = None,
    required: tuple[str, ...] = (),
    title: str = "",
    namespace: str = "canvas",
) -> TableDescription:
    """Return the description of a table with these columns."""
    properties = {
        "key": {"title": title, "properties": {"id": ID} if key is None else key},
        "value": {"properties": value, "required": list(required)},
    }
    schema = VersionedSchema(namespace=namespace, table=name, version=3, document={"properties": properties})
    return describe_table(read_table(schema), relations())


def users(**value: Any) -> TableDescription:
    return described("users", {"name": {"type": "string"}, "merged_into_user_id": ID, **value}, title="All users.")


def enrollments() -> TableDescription:
    return described("enrollments", {"user_id": USER_ID, "batch_id": ID}, required=("user_id",))


def comments() -> TableDescription:
    return described("comments", {"context_id": ID}, required=("context_id",))
