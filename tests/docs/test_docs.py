"""Documentation that cannot go stale: flags, variables, exit codes, links, commands and snippets are checked."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dapkit import errors
from dapkit.cli.main import dap

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
ALL = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def exit_codes() -> str:
    rows = ["| error code | exit code | meaning | worth retrying |", "| --- | --- | --- | --- |"]
    for name in sorted(errors.__all__, key=lambda each: (getattr(errors, each).exit_code, each)):
        each = getattr(errors, name)
        if name not in {"DapError", "CredentialsError", "ServiceError"}:
            meaning = (each.__doc__ or "").splitlines()[0]
            rows.append(f"| `{each.code}` | {each.exit_code} | {meaning} | {'yes' if each.retryable else 'no'} |")
    return "\n".join(rows)


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    assert exit_codes() in page, exit_codes()


def test_every_command_is_documented() -> None:
    context = click.Context(dap)
    for name in dap.list_commands(context):
        assert f"dap {name}" in ALL, name


def test_every_environment_variable_that_is_read_is_documented() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    for variable in sorted(set(re.findall(r"\"(DAP_[A-Z_]+)\"", source))):
        assert variable in ALL, variable


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
def test_commands_that_are_shown_parse(line: str) -> None:
    with dap.make_context("dap", shlex.split(line)[1:]) as context:
        name, command, rest = dap.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        with command.make_context(name, list(rest), parent=context):
            pass


def test_the_snippets_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})
