"""The documentation is up to date: commands, options, variables, error codes, links and snippets are checked."""

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest
from docs.generate import raised_errors

import dapkit
from dapkit import events, spec
from dapkit.cli import logs
from dapkit.cli.json_lines import common_fields
from dapkit.cli.main import dap, main
from dapkit.transfer.manifest import Manifest, ManifestObject

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
ALL = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
FOLDERS_THAT_EXIST = ("downloads", "out")
UNLISTED = {"DAP_PATIENCE"}
"""Former names that are still accepted."""

NEEDED = {"files.md": ("pandas", "polars"), "frames.md": ("pandas", "polars")}
"""Libraries that the examples of a page use, and that are not needed for anything else."""

RUNNABLE = re.compile(r"(?m)^```python\n(?P<python>(?s:.*?))^```|^(?: {4}|\$ )?(?P<command>dap --sandbox [^…\n]+)$")


def test_every_command_is_documented() -> None:
    context = click.Context(dap)
    for name in dap.list_commands(context):
        assert f"dap {name}" in ALL, name


def test_every_environment_variable_that_is_read_is_documented() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    read = set(re.findall(r"\"(DAP_[A-Z_]+)\"", source))
    assert [variable for variable in sorted(read - UNLISTED) if variable not in ALL] == []


def test_every_variable_that_is_documented_exists() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    known = set(re.findall(r"DAP_[A-Z_]+", source))
    prefixes = tuple(name for name in known if name.endswith("_"))  # of names that are put together
    named = set(re.findall(r"\bDAP_[A-Z_]+", ALL))
    assert [name for name in sorted(named - known) if not name.startswith(prefixes)] == []


def test_every_option_that_is_documented_exists() -> None:
    context = click.Context(dap)
    commands = [dap, *(dap.get_command(context, name) for name in dap.list_commands(context))]
    known = {option for command in commands if command for each in command.params for option in each.opts}
    named = set(re.findall(r"`(?:dap [a-z]+ )?(--[a-z][a-z-]+)", ALL))
    assert sorted(named - known - {"--help"}) == []


def test_troubleshooting_says_what_to_do_about_every_error_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|[^|]+\| \S", page)
    explained = [code for row in rows for code in re.findall(r"`([a-z-]+)`", row)]
    assert sorted(explained) == sorted({each.code for each in raised_errors()})


def test_the_sandbox_page_says_which_columns_are_inferred_and_of_when_they_are() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    inferred = {row["table"] for row in spec.rows("tables.csv") if row["evidence"] == "inferred"}
    assert all(f"`{table}`" in page for table in inferred)
    assert max(row["date"] for row in spec.rows("changes.csv")) in page


def test_exit_codes_are_listed_once() -> None:
    pages = [
        page.name for page in PAGES if re.search(r"(?m)^\|.*\| (?:20|50|141) \|", page.read_text(encoding="utf-8"))
    ]
    assert pages == ["formats.md"]


def test_the_manifest_that_is_shown_is_valid_and_its_fields_are_explained() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    shown = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert shown
    msgspec.json.decode(shown[1], type=Manifest)
    section = page.partition("## Manifest")[2].partition("\n## ")[0]
    for name in (*Manifest.__struct_fields__, *ManifestObject.__struct_fields__):
        assert f"`{name}`" in section, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def shown_commands() -> Iterator[str]:
    for line in ALL.replace("\\\n", " ").splitlines():
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
    """Return what a reader can run without credentials: commands with --sandbox, and Python."""
    return list(RUNNABLE.finditer(page.read_text(encoding="utf-8")))


# All but the guide take too long for the fast tests.
PAGES_TO_RUN = [
    pytest.param(page, id=page.name, marks=[] if page.name == "index.md" else [pytest.mark.slow])
    for page in PAGES
    if runnable(page)
]


@pytest.mark.parametrize("page", PAGES_TO_RUN)
def test_the_examples_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAP_SANDBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAP_SANDBOX_SCALE", "0.02")
    monkeypatch.setenv("DAP_SANDBOX_JOB_SECONDS", "0")
    for library in NEEDED.get(page.name, ()):
        pytest.importorskip(library, reason="`make check` installs it")
    for match in runnable(page):
        if match["command"]:
            assert main(shlex.split(match["command"])[1:]) == 0, match["command"]
        else:
            exec(compile(match["python"], page.name, "exec"), {"__name__": "__main__"})


def test_every_event_of_log_lines_is_documented() -> None:
    section = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").partition("## Log lines")[2]
    section = section.partition("\n## ")[0].partition("| `event` | level |")[2]
    documented = set(re.findall(r"(?m)^\| `([a-z-]+)` \| [a-z]+", section))
    sources = [*(ROOT / "src/dapkit/cli").rglob("*.py"), *(ROOT / "src/dapkit/client").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    constants = {logs.TABLE_FAILED, logs.TABLE_DIFFERS, logs.RUN_ENDED, logs.ERROR}
    assert documented == set(re.findall(r'"event": "([a-z-]+)"', text)) | constants


def test_every_field_of_log_lines_is_documented() -> None:
    section = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").partition("## Log lines")[2]
    for name in common_fields("r"):
        assert f"| `{name}` |" in section


def test_every_public_name_of_the_library_is_in_its_reference() -> None:
    page = (ROOT / "docs" / "library-reference.md").read_text(encoding="utf-8")
    documented = re.findall(r"(?m)^::: ([\w.]+)$", page)
    assert sorted(documented) == sorted(set(documented))
    public = {f"{getattr(dapkit, name).__module__}.{name}" for name in dapkit.__all__}
    assert sorted(public - set(documented) - {"dapkit.errors.root.DapError"}) == []
    for name in documented:
        module, _, member = name.rpartition(".")
        found = (
            importlib.import_module(name)
            if name == "dapkit.events"
            else getattr(importlib.import_module(module), member)
        )
        assert found.__doc__, name


def test_every_event_is_described() -> None:
    for each in get_args(events.Event):
        assert each.__doc__
        assert not each.__doc__.startswith(each.__name__), "the text that a dataclass makes itself"


CALLS_FOR_TABLES = re.compile(r"\.(snapshot|incremental|sync|initdb|syncdb|reconcile|download_schema|describe)\(")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_do_not_hide_the_tables_that_failed(page: Path) -> None:
    blocks = [match["python"] for match in runnable(page) if match["python"]]
    silent = [block for block in blocks if CALLS_FOR_TABLES.search(block) and "failed" not in block.lower()]
    assert silent == []


@pytest.mark.skipif(sys.platform == "win32", reason="no cron")
def test_the_line_for_cron_works_with_the_path_of_cron(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    15 3 \* \* \*  (.*)$", text, re.MULTILINE)
    assert "%" not in line, "cron turns it into a line break"
    (tmp_path / "dapkit.env").write_text(f"DAP_SANDBOX_HOME={tmp_path}\nDAP_STAGE={tmp_path}\n", encoding="utf-8")
    for documented, here in (
        ("/etc/dapkit.env", str(tmp_path / "dapkit.env")),
        ("/opt/dapkit/bin/dap", f"{sys.executable} -m dapkit"),
        ("/var/log/dapkit.log", str(tmp_path / "dapkit.log")),
        ("--table all", f"--table wikis --sandbox --to duckdb:{tmp_path}/college.duckdb"),
    ):
        assert documented in line
        line = line.replace(documented, here)
    environment = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "HOME": str(tmp_path)}
    done = subprocess.run(["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "wikis" in (tmp_path / "dapkit.log").read_text(encoding="utf-8")
