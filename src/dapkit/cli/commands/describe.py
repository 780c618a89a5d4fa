"""`dap describe`: columns, meanings, keys and relations of tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import HELP_NAMES, SectionedCommand, flag, global_options, json_option, option, settings_of
from dapkit.cli.parameters import table_names
from dapkit.cli.run_command import run_connected
from dapkit.cli.summary import Report, count_fields, failed_objects, unexplained
from dapkit.describe.dbt_sources import untested_tables
from dapkit.describe.description import TableDescription
from dapkit.describe.names import Selection, by_namespace
from dapkit.describe.run import DescribeResult, describe
from dapkit.errors import DapError, OutputError, UsageError
from dapkit.export.selection import split_tables
from dapkit.formatting import count, names
from dapkit.storage.atomic import make_folder, replace_file

EPILOG = """\b
Examples:
  dap describe canvas.submissions
  dap describe canvas.courses 'canvas.quiz*' --diagram
  dap describe canvas.all --dbt --output models/sources.yml
  dap --sandbox describe --namespace catalog --table users --json
\b
The service does not publish relations between tables. They come from a list
that is part of dapkit; newer tables are described without them.
"""


@click.command("describe", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@click.argument("tables", metavar="[NAMESPACE.TABLE]...", nargs=-1)
@option("--namespace", help="Namespace of the names that do not contain one.")
@option(
    "--table",
    "more_tables",
    multiple=True,
    metavar="NAMES",
    callback=table_names,
    help="More tables: names separated by commas, patterns such as 'course*', or all.",
)
@option("--exclude", multiple=True, metavar="NAMES", callback=table_names, help="Tables or patterns to leave out.")
@flag("--diagram", help="Print a diagram of the tables and their neighbours, in the language of Mermaid.")
@flag("--dbt", help="Print the sources.yml of a dbt project: descriptions, and tests of keys, nulls and relations.")
@option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the diagram or the sources to this file instead of stdout, if all tables can be described.",
)
@json_option
@global_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Describe tables: columns, types, meanings, keys and relations.

    A table is named with its namespace, such as canvas.users. The name may be a pattern, or all.
    """
    settings = settings_of(context)
    _require_one_form(given, settings.messages.json)
    selection, exclude = _selection(given)
    path: Path | None = given["output"]
    if path is not None:
        with _output_hint():  # before anything is requested
            make_folder(path.parent)
    with Console(settings.messages) as console:
        result = run_connected(settings, console, lambda session: describe(session, selection, exclude))
        error = result.error
        for notice in result.notices:
            console.notice(notice)
        if settings.messages.json:
            console.json_result(_as_object(result, error))
        elif path is None:
            _print(console, _text(result, given, console.result_width))
        elif error is None:
            with _output_hint():
                replace_file(path, _text(result, given, None).encode())
            console.result(str(path))
        else:
            console.notice(f"{path} was not written, because not all tables could be described")
        if given["dbt"] and (untested := untested_tables(result.done)):
            console.notice(f"No relationship tests for tables that are not selected: {names(untested)}")
        for failure in result.failed:
            console.on_event(failure)
        if result.failed:
            console.report(_report(result))
    if error is not None:
        raise error


@contextmanager
def _output_hint() -> Iterator[None]:
    """Name the option of this command in the hint of an error."""
    try:
        yield
    except OutputError as error:
        error.hint = "Use --output to choose a file that you can write."
        raise


def _require_one_form(given: Mapping[str, Any], as_json: bool) -> None:
    forms = [name for name in ("diagram", "dbt") if given[name]] + ["json"] * as_json
    if len(forms) > 1:
        message = f"--{forms[0]} and --{forms[1]} exclude each other"
        raise UsageError(message, hint="Run the command once for each form.")
    if given["output"] is not None and forms not in (["diagram"], ["dbt"]):
        raise UsageError("--output needs --diagram or --dbt", hint="Redirect stdout to write another form to a file.")


def _selection(given: Mapping[str, Any]) -> tuple[Selection, Selection]:
    """Return the tables to describe and those to leave out."""
    named = [*given["tables"], *given["more_tables"]]
    if not named:
        raise UsageError("No table is named", hint="Name a table, such as canvas.users, or canvas.all.")
    namespace = given["namespace"] and given["namespace"].strip()
    return by_namespace(split_tables(named, "TABLE"), namespace), by_namespace(given["exclude"], namespace)


def _text(result: DescribeResult, given: Mapping[str, Any], width: int | None) -> str:
    if not result.done:
        return ""
    if given["diagram"]:
        return result.mermaid()
    return result.dbt_sources() if given["dbt"] else f"{result.text(width)}\n"


def _print(console: Console, text: str) -> None:
    for line in text.split("\n")[:-1]:
        console.result(line)


def _report(result: DescribeResult) -> Report:
    total = count(len(result.done) + len(result.failed), "table")
    return Report(
        totals=f"{len(result.done):,} of {total} described, {len(result.failed):,} failed",
        failed=unexplained(len(result.done), result.failed),
        fields=count_fields(result.done, result.failed),
    )


def _as_object(result: DescribeResult, error: DapError | None) -> dict[str, Any]:
    return {
        "command": "describe",
        "exit_code": error.exit_code if error else 0,
        "tables": _table_objects(result.done),
        "failed": failed_objects(result.failed),
    }


def _table_objects(tables: Sequence[TableDescription]) -> list[dict[str, Any]]:
    return [{("table" if key == "name" else key): value for key, value in asdict(table).items()} for table in tables]
