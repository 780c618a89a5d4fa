"""Describes the tables of a selection: requests their schemas and adds the known relations."""

from dataclasses import dataclass
from pathlib import Path

from dapkit.client.session import Session
from dapkit.describe.dbt_sources import dbt_sources
from dapkit.describe.description import TableDescription, describe_table
from dapkit.describe.diagram import mermaid
from dapkit.describe.names import Selection
from dapkit.describe.relations import known_relations
from dapkit.describe.text import table_lines
from dapkit.errors import UsageError
from dapkit.export.isolation import isolate
from dapkit.export.schemas import SchemaReader
from dapkit.export.selection import resolve_tables
from dapkit.failures import TableFailed
from dapkit.results import Display, TablesResult
from dapkit.schema import read_table
from dapkit.transfer.workers import run_all


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeResult(TablesResult):
    """The descriptions of tables (`done`), the tables that failed, and messages worth knowing."""

    done: tuple[TableDescription, ...]
    failed: tuple[TableFailed, ...]
    notices: tuple[str, ...] = ()

    def text(self, width: int | None = None) -> str:
        """Return the descriptions for people, as `dap describe` prints them.

        Args:
            width: maximum number of characters of a line; None: no limit.
        """
        return "\n\n".join("\n".join(table_lines(table, width)) for table in self.done)

    def mermaid(self) -> str:
        """Return a diagram of the tables and their neighbours in the language of Mermaid."""
        return mermaid(self.done)

    def dbt_sources(self) -> str:
        """Return the tables as the `sources.yml` of a dbt project."""
        return dbt_sources(self.done)

    def _display(self) -> Display:
        headings = ("table", "schema version", "key", "columns", "refers to", "meaning")
        rows = [
            (each.qualified, each.version, ", ".join(each.key), len(each.columns), len(each.references), each.meaning)
            for each in self.done
        ]
        return "Tables", headings, rows


async def describe(session: Session, selection: Selection, exclude: Selection | None = None) -> DescribeResult:
    """Describe the selected tables.

    Args:
        session: the session.
        selection: names, patterns or `all`, by namespace.
        exclude: names or patterns to leave out, by namespace.

    Raises:
        UsageError: a pattern or an exclusion matches nothing.
        DapError: an error that affects all tables: credentials or account.
    """
    excluded = exclude or {}
    for namespace in excluded:
        if namespace not in selection:
            message = f"No table of {namespace} is selected, so none can be excluded"
            raise UsageError(message, hint="Compare the tables with --exclude.")
    relations, done, failed, notices = known_relations(), [], [], []
    for namespace, wanted in selection.items():
        resolved = await resolve_tables(session, namespace, wanted, excluded.get(namespace, ()))
        reader = SchemaReader(session, resolved.namespace)

        async def described(table: str, reader: SchemaReader = reader) -> TableDescription:
            return describe_table(read_table(await reader.read(table)), relations)

        # Nothing is written for a table alone, so the folder does not matter.
        outcomes = await run_all(isolate(table, Path(), described, table) for table in resolved.tables)
        done += [outcome for outcome in outcomes if isinstance(outcome, TableDescription)]
        failed += [outcome for outcome in outcomes if isinstance(outcome, TableFailed)]
        notices += [resolved.notice] if resolved.notice else []
    # The service knows some namespaces by two names, so a table may have been selected twice.
    distinct = {table.qualified: table for table in done}
    return DescribeResult(done=tuple(distinct.values()), failed=tuple(failed), notices=tuple(notices))
