"""`dap prune`: results that are no longer needed, and abandoned staging folders, deleted."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dapkit.cli.console import Console
from dapkit.cli.options import (
    HELP_NAMES,
    SectionedCommand,
    flag,
    json_option,
    message_options,
    option,
    settings_of,
)
from dapkit.cli.parameters import duration, table_names
from dapkit.cli.result_table import result_layout, result_object
from dapkit.config.settings import staging_root
from dapkit.errors import UsageError
from dapkit.export.prune import PruneResult, prune
from dapkit.export.prune_plan import PruneRule
from dapkit.formatting import count, size
from dapkit.replication.stage_cleanup import StageCleanup, remove_abandoned_stages

EPILOG = """\b
Examples:
  dap prune downloads --keep 3 --dry-run
  dap prune downloads --older-than 30d
  dap prune downloads --keep 12 --table web_logs
  dap prune --stage
"""
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ONE = "Use exactly one of --keep, --older-than and --stage."


@click.command("prune", cls=SectionedCommand, context_settings=HELP_NAMES, epilog=EPILOG)
@click.argument(
    "folder", metavar="[DIR]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the N latest snapshots of each table, by format and mode, and the changes that continue them.",
)
@option(
    "--older-than",
    callback=duration,
    metavar="AGE",
    help="Delete results that are older than this, such as 30d, except the latest of each table.",
)
@option(
    "--table",
    "tables",
    multiple=True,
    metavar="NAMES",
    callback=table_names,
    help="Only these tables: names or patterns. Log tables are deleted only if named here.",
)
@flag(
    "--stage",
    help="Delete staging folders that interrupted runs left in DIR; without DIR, those of databases.",
)
@flag("--dry-run", help="Show what would be deleted; delete nothing.")
@json_option
@message_options
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Delete results that are no longer needed.

    The latest complete result of each table is always kept: its snapshot, and the changes that continue it. Files that
    dapkit did not write, and results that a run is using, are left alone.
    """
    settings = settings_of(context)
    _check(given)
    with Console(settings.messages) as console:
        if given["stage"]:
            folder = given["folder"] or staging_root(None)
            cleanup = remove_abandoned_stages(folder, dry_run=given["dry_run"])
            if settings.messages.json:
                console.json_result(_stage_object(cleanup))
            else:
                _show_stage(cleanup, console)
            return
        result = prune(given["folder"], _rule(given), given["tables"], dry_run=given["dry_run"])
        if settings.messages.json:
            console.json_result(_as_object(result))
        else:
            _show(result, console)


def _check(given: Mapping[str, Any]) -> None:
    """Raise UsageError if options are missing, or contradict each other."""
    chosen = [name for name in ("keep", "older_than", "stage") if given[name] not in (None, False)]
    if len(chosen) != 1:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in chosen)
        message = f"{options} exclude each other" if chosen else "Neither --keep, --older-than nor --stage is given"
        raise UsageError(message, hint=_ONE)
    if given["stage"] and given["tables"]:
        raise UsageError("--table has no effect with --stage", hint="Omit one of them.")
    if given["folder"] is None and not given["stage"]:
        raise UsageError("DIR is missing", hint="Give the folder that contains the results.")


def _rule(given: Mapping[str, Any]) -> PruneRule:
    age = given["older_than"]
    return PruneRule(keep=given["keep"], completed_before=None if age is None else time.time() - age.total_seconds())


def _show(result: PruneResult, console: Console) -> None:
    layout = result_layout(result.removed, result.folder, console.result_width)
    for line in layout.lines:
        console.result(line)
    for each in result.skipped:
        console.notice(f"{each.path} {each.message}; it stays")
    for each in result.incomplete:
        console.notice(f"{each.path} {each.message}; it stays")
    done = f"{count(len(result.removed), 'result')} {_verb(result.dry_run)}"
    kept = f"{count(result.kept, 'result')} kept"
    console.print([", ".join([done, size(result.bytes), *layout.phrases, kept])])


def _show_stage(cleanup: StageCleanup, console: Console) -> None:
    for each in cleanup.removed:
        console.result(str(each.path), size(each.bytes))
    for path in cleanup.in_use:
        console.notice(f"{path} is in use; it stays")
    done = count(len(cleanup.removed), "abandoned staging folder")
    console.print([f"{done} {_verb(cleanup.dry_run)}, {size(cleanup.bytes)}"])


def _verb(dry_run: bool) -> str:
    return "would be deleted" if dry_run else "deleted"


def _as_object(result: PruneResult) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "dry_run": result.dry_run,
        "removed": [result_object(each) for each in result.removed],
        "bytes": result.bytes,
        "kept": result.kept,
        "skipped": [{"path": str(each.path), "message": each.message} for each in result.skipped],
        "incomplete": [{"path": str(each.path), "message": each.message} for each in result.incomplete],
    }


def _stage_object(cleanup: StageCleanup) -> dict[str, Any]:
    return {
        "folder": str(cleanup.folder),
        "dry_run": cleanup.dry_run,
        "removed": [{"path": str(each.path), "bytes": each.bytes} for each in cleanup.removed],
        "bytes": cleanup.bytes,
        "in_use": [str(path) for path in cleanup.in_use],
    }
