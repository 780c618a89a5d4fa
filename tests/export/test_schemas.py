"""Schemas of many tables into files, with any names that the service sends."""

import asyncio
from pathlib import Path
from typing import cast

from dapkit.client.session import Session
from dapkit.export.schemas import save_schemas
from dapkit.model import VersionedSchema


class Service:
    """The part of a session that schemas need."""

    def __init__(self, *tables: str) -> None:
        self._tables = tables

    async def tables(self, namespace: str) -> tuple[str, ...]:
        return self._tables

    async def schema(self, namespace: str, table: str) -> VersionedSchema:
        return VersionedSchema(namespace=namespace, table=table, version=2, document={"title": table})


def test_a_table_name_that_leads_outside_the_folder_fails_alone(tmp_path: Path) -> None:
    service = Service("../../evil", str(tmp_path / "absolute"), "good")
    output = tmp_path / "a" / "b"
    result = asyncio.run(save_schemas(cast(Session, service), "canvas", ["all"], [], output))
    assert [each.path.name for each in result.done] == ["good_schema_version_2.json"]
    assert [each.error.code for each in result.failed] == ["unsafe-name", "unsafe-name"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [output / "good_schema_version_2.json"]
