"""The parts of the documentation that are made from the code.

The command reference comes from the parser, the manifest's JSON Schema from its struct, the table of exit codes from
the error classes. `make reference` writes them; a test in tests/docs fails when one of them is stale.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from dapkit import errors
from dapkit.cli.main import COMMANDS, dap
from dapkit.cli.options import CONNECTION, MESSAGES, SANDBOX
from dapkit.transfer.manifest import Manifest

DOCS = Path(__file__).parent
OWN = "Options"
SHARED = {CONNECTION: "Connection", SANDBOX: "The sandbox inside a command", MESSAGES: "Messages"}
BASES = {"DapError", "CredentialsError", "ServiceError"}  # classes that are never raised themselves
VARIABLES = {
    "DAP_SANDBOX_HOME": "folder in which `--sandbox` keeps its data clock, instead of the user's state folder",
    "DAP_DATABASE_HOST, _PORT, _USERNAME, _PASSWORD, _NAME, _SSL": "a PostgreSQL database in parts",
    "DAP_TRACKING": "accepted for scripts of the official command, and must be true or false; nothing is tracked",
    "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY": "proxies, and the hosts that are reached without one",
    "TERM": "`dumb` or `unknown`: a terminal that gets log lines instead of live progress",
    "NO_COLOR": "no colours, when it is set to anything",
    "SSL_CERT_FILE": "file of certificates (PEM) to trust, as OpenSSL reads it",
}
"""Variables that are read and do what no option does."""

REFERENCE = """\
<!-- Made from the parser by docs/generate.py. Do not edit: run make reference. -->

# Command reference

`dap` and `dapkit` are the same command. An option after the command's name wins over the same option before it, and
both win over the environment. `dap --help` and `dap COMMAND --help` say in a terminal what this page says.

{commands}

## Shared options

These are accepted before and after the command's name.

{shared}

## Environment variables

| variable | same as, or meaning |
| --- | --- |
{variables}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One option as the help describes it."""

    names: str
    value: str
    meaning: str
    default: str
    variable: str


def reference() -> str:
    """Return the page of all commands, options and variables."""
    top = click.Context(dap, info_name="dap", **dap.context_settings)
    shared = _sections(dap, top)
    commands = [_command_section(name, top, shared) for name in dap.list_commands(top)]
    own = shared.pop(OWN)
    parts = [f"### {SHARED[title]}\n\n{_table(entries)}" for title, entries in shared.items()]
    parts.append(f"### Of dap itself\n\nThese stand before the command's name, `--help` anywhere.\n\n{_table(own)}")
    named = {entry.variable: f"`{entry.names}`" for entries in shared.values() for entry in entries if entry.variable}
    described = {**named, **{_code(name): meaning for name, meaning in VARIABLES.items()}}
    return REFERENCE.format(
        commands="\n\n".join(commands),
        shared="\n\n".join(parts),
        variables="\n".join(f"| {name} | {described[name]} |" for name in sorted(described)),
    )


def _command_section(name: str, top: click.Context, shared: Mapping[str, list[Entry]]) -> str:
    command = dap.get_command(top, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=top, **command.context_settings)
    sections = _sections(command, context)
    own = [entry for entry in sections.pop(OWN) if "--help" not in entry.names]
    for title, entries in sections.items():
        assert entries == shared[title], f"{name} has other options under {title!r} than the rest"
    links = [f"[{SHARED[title]}](#{_anchor(SHARED[title])})" for title in sections]
    return "\n\n".join(
        [
            f"## dap {name}",
            f"Usage: `dap {name} {' '.join(command.collect_usage_pieces(context))}`",
            *_paragraphs(command.help or COMMANDS[name]),
            _table(own),
            f"Shared options: {', '.join(links)}.",
            *_epilog(command.epilog or ""),
        ]
    )


def _sections(command: click.Command, context: click.Context) -> dict[str, list[Entry]]:
    sections: dict[str, list[Entry]] = {OWN: []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            sections.setdefault(getattr(parameter, "section", OWN), []).append(_entry(*record))
    return sections


def _entry(heading: str, text: str) -> Entry:
    """Take apart what the help says: notes in brackets hold the default, the variable, the range."""
    words = heading.replace(",", "").split(" ")
    value = " ".join(word for word in words if not word.startswith("-"))
    notes = [note for group in re.findall(r"\[([^\]]+)\]", text) for note in group.split("; ")]
    meaning = re.sub(r"\s*\[[^\]]+\]\.?", ".", text).replace("..", ".")
    default = variable = ""
    for note in notes:
        if "default: " in note:
            default = note.partition("default: ")[2]
        elif note == "required":
            default = "required"
        elif note.startswith("DAP_"):
            variable = _code(note)
        else:
            meaning += f" {_range(note)}."
    return Entry(
        names=", ".join(word for word in words if word.startswith("-")),
        value=", ".join(f"`{choice}`" for choice in value.strip("[]").split("|") if choice),
        meaning=meaning.strip(),
        default=default if " " in default or default in {"", "required"} else f"`{default}`",
        variable=variable,
    )


def _range(note: str) -> str:
    """Put into words what click writes as `1<=x<=64`, `x>=0` or `x>0`."""
    if match := re.fullmatch(r"(\S+)<=x<=(\S+)", note):
        return f"From {match[1]} to {match[2]}"
    if match := re.fullmatch(r"x>=(\S+)", note):
        return f"At least {match[1]}"
    match = re.fullmatch(r"x>(\S+)", note)
    assert match, f"{note!r} is a note that the reference does not know"
    return f"More than {match[1]}"


def _table(entries: Iterable[Entry]) -> str:
    """Return a table with the columns that are not empty."""
    rows = [(f"`{each.names}`", each.value, each.meaning, each.default, each.variable) for each in entries]
    heads = ("option", "value", "meaning", "default", "variable")
    columns = [(head, cells) for head, *cells in zip(heads, *rows, strict=True) if any(cells)]
    lines = [[head for head, _ in columns], ["---"] * len(columns)]
    lines += [[cells[index] for _, cells in columns] for index in range(len(rows))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _epilog(text: str) -> list[str]:
    """Return the paragraphs below the options; indented lines are shown as they are typed."""
    blocks: list[tuple[bool, list[str]]] = []
    for line in text.replace("\b\n", "\n").splitlines():
        typed = line.startswith("  ")
        if not line.strip():
            blocks.append((False, []))
        elif blocks and blocks[-1][0] == typed:
            blocks[-1][1].append(line[2:] if typed else line)
        else:
            blocks.append((typed, [line[2:] if typed else line]))
    return ["\n".join(["```", *lines, "```"]) if typed else _prose(lines) for typed, lines in blocks if lines]


def _prose(lines: list[str]) -> str:
    """Join lines, and mark what holds `<…>` as code, lest it be taken for HTML."""
    return re.sub(r"\S*<\S*[^\s.,;]", lambda match: f"`{match[0]}`", " ".join(lines))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def manifest_schema() -> str:
    """Return the JSON Schema of `.manifest.json`."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The manifest of one job's folder",
        **msgspec.json.schema(Manifest),
    }
    return json.dumps(schema, indent=2) + "\n"


def raised_errors() -> list[type[errors.DapError]]:
    """Return every class of error that is raised."""
    found: list[type[errors.DapError]] = [errors.DapError]
    for each in found:
        found += (child for child in each.__subclasses__() if child.__module__.startswith(errors.__name__))
    return [each for each in found if each.__name__ not in BASES]


def exit_codes() -> str:
    """Return the page of exit codes: its own words, and below them the table of the error classes."""
    words = (DOCS / "exit-codes.md").read_text(encoding="utf-8").partition("| error code |")[0]
    rows = ["| error code | exit code | meaning | worth retrying |", "| --- | --- | --- | --- |"]
    for each in sorted(raised_errors(), key=lambda each: (each.exit_code, each.__name__)):
        meaning = (each.__doc__ or "").splitlines()[0]
        rows.append(f"| `{each.code}` | {each.exit_code} | {meaning} | {'yes' if each.retryable else 'no'} |")
    return words + "\n".join(rows) + "\n"


GENERATED: Mapping[str, Callable[[], str]] = {
    "reference.md": reference,
    "manifest.schema.json": manifest_schema,
    "exit-codes.md": exit_codes,
}
"""Files of this folder, and what makes their text."""


def write() -> None:
    """Bring every generated file up to date."""
    for name, make in GENERATED.items():
        (DOCS / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write()
