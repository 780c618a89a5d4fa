"""Documentation that cannot go stale: commands, variables, links and snippets are checked."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from docs.generate import raised_errors

from dapkit.cli.exitcodes import BROKEN_PIPE
from dapkit.cli.main import dap, main
from dapkit.transfer.manifest import Manifest, ManifestObject

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
ALL = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
FOLDERS_THAT_EXIST = ("downloads", "out")
RUNNABLE = re.compile(r"(?m)^```python\n(?P<python>(?s:.*?))^```|^(?: {4}|\$ )?(?P<command>dap --sandbox [^…\n]+)$")


def test_every_command_is_documented() -> None:
    context = click.Context(dap)
    for name in dap.list_commands(context):
        assert f"dap {name}" in ALL, name


def test_every_environment_variable_that_is_read_is_documented() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    for variable in sorted(set(re.findall(r"\"(DAP_[A-Z_]+)\"", source))):
        assert variable in ALL, variable


def test_every_exit_code_says_what_to_do() -> None:
    rows = re.findall(r"(?m)^\| (\d+(?:, \d+)*) \|", (ROOT / "docs" / "failures.md").read_text(encoding="utf-8"))
    said = [int(code) for row in rows for code in row.split(", ")]
    raised = {each.exit_code for each in raised_errors()}
    assert sorted(said) == sorted({0, BROKEN_PIPE} | raised)


def test_the_manifest_that_is_shown_is_one_and_its_fields_are_explained() -> None:
    page = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    shown = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert shown
    msgspec.json.decode(shown[1], type=Manifest)
    for name in (*Manifest.__struct_fields__, *ManifestObject.__struct_fields__):
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def shown_commands() -> Iterator[str]:
    for line in ALL.splitlines():
        words = line.strip().removeprefix("$ ")
        if words.startswith("dap ") and "…" not in words:
            yield words


@pytest.mark.parametrize("line", sorted(set(shown_commands())))
def test_commands_that_are_shown_parse(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS_THAT_EXIST:
        (tmp_path / folder).mkdir()
    with dap.make_context("dap", shlex.split(line)[1:]) as context:
        name, command, rest = dap.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        with command.make_context(name, list(rest), parent=context):
            pass


def runnable(page: Path) -> list[re.Match[str]]:
    """What a reader without credentials can run: commands with --sandbox, and Python."""
    return list(RUNNABLE.finditer(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_what_a_page_shows_runs_from_its_top_to_its_end(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAP_SANDBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAP_SANDBOX_SCALE", "0.02")
    monkeypatch.setenv("DAP_SANDBOX_JOB_SECONDS", "0")
    for match in runnable(page):
        if match["command"]:
            assert main(shlex.split(match["command"])[1:]) == 0, match["command"]
        else:
            exec(compile(match["python"], page.name, "exec"), {"__name__": "__main__"})
