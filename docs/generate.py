"""Generates parts of the documentation from the code.

The command reference comes from the parser. The JSON Schemas and the tables of fields come from the types, the table of
error codes from the error classes. `make reference` writes them; a test in tests/docs fails if one of them is outdated.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import inspect

from dapkit import errors
from dapkit.cli.exitcodes import BROKEN_PIPE
from dapkit.cli.main import COMMANDS, dap
from dapkit.cli.options import CONNECTION, MESSAGES, SANDBOX
from dapkit.export.journal import AnyEntry
from dapkit.transfer.manifest import Manifest
from docs import results

DOCS = Path(__file__).parent
OWN = "Options"
SHARED = {CONNECTION: "Connection", SANDBOX: "Built-in sandbox", MESSAGES: "Messages"}
BASES = {"DapError", "CredentialsError", "ServiceError"}  # classes that are never raised themselves
VARIABLES = {
    "DAP_SANDBOX_HOME": "folder in which `--sandbox` stores its data clock; default: the user's state folder",
    "DAP_DATABASE_HOST, _PORT, _USERNAME, _PASSWORD, _NAME, _SSL": "a PostgreSQL database, as separate values",
    "DAP_TRACKING": "accepted for compatibility with the official client (`true` or `false`); dapkit never tracks",
    "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY": "proxies, and the hosts to reach without a proxy",
    "TERM": "with `dumb` or `unknown`, log lines replace the live progress",
    "NO_COLOR": "if set to any value, no colours are used",
    "SSL_CERT_FILE": "file with trusted certificates (PEM), as for OpenSSL",
}
"""Environment variables that have no corresponding option."""

REFERENCE = """\
<!-- Generated from the parser by docs/generate.py. Do not edit; run `make reference`. -->

# Command reference

`dap` and `dapkit` are the same command. An option after the command's name takes precedence over the same option before
it, and both take precedence over environment variables. `dap --help` and `dap COMMAND --help` show the same information
in a terminal.

{commands}

## Shared options

You can use these options before or after the command's name.

{shared}

## Environment variables

| variable | corresponding option, or meaning |
| --- | --- |
{variables}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One option, as described in the help."""

    names: str
    value: str
    meaning: str
    default: str
    variable: str


def reference() -> str:
    """Return the page with all commands, options and environment variables."""
    top = click.Context(dap, info_name="dap", **dap.context_settings)
    shared = _sections(dap, top)
    commands = [_command_section(name, top, shared) for name in dap.list_commands(top)]
    own = shared.pop(OWN)
    parts = [f"### {SHARED[title]}\n\n{_table(entries)}" for title, entries in shared.items()]
    parts.append(f"### Other options\n\nUse these before the command's name; `--help` works anywhere.\n\n{_table(own)}")
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
        assert entries == shared[title], f"the options of {name} under {title!r} differ from the shared ones"
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
    """Split the help text of an option: brackets contain the default, the environment variable and the range."""
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
    """Spell out a range that click writes as `1<=x<=64`, `x>=0` or `x>0`."""
    if match := re.fullmatch(r"(\S+)<=x<=(\S+)", note):
        return f"From {match[1]} to {match[2]}"
    if match := re.fullmatch(r"x>=(\S+)", note):
        return f"At least {match[1]}"
    match = re.fullmatch(r"x>(\S+)", note)
    assert match, f"unknown note in a help text: {note!r}"
    return f"More than {match[1]}"


def _table(entries: Iterable[Entry]) -> str:
    """Return a Markdown table of options, without empty columns."""
    rows = [(f"`{each.names}`", each.value, each.meaning, each.default, each.variable) for each in entries]
    heads = ("option", "value", "meaning", "default", "variable")
    columns = [(head, cells) for head, *cells in zip(heads, *rows, strict=True) if any(cells)]
    lines = [[head for head, _ in columns], ["---"] * len(columns)]
    lines += [[cells[index] for _, cells in columns] for index in range(len(rows))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _epilog(text: str) -> list[str]:
    """Return the paragraphs below the options; indented lines become code blocks."""
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
    """Join lines, and mark words that contain `<…>` as code, so that they are not interpreted as HTML."""
    return re.sub(r"\S*<\S*[^\s.,;]", lambda match: f"`{match[0]}`", " ".join(lines))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def manifest_schema() -> str:
    """Return the JSON Schema of `.manifest.json`."""
    return _json_schema("Manifest of a job folder", msgspec.json.schema(Manifest))


def journal_schema() -> str:
    """Return the JSON Schema of one line of a journal."""
    return _json_schema("One line of a run's journal", msgspec.json.schema(AnyEntry))


def results_schema() -> str:
    """Return the JSON Schemas of the results that `--json` prints, as definitions without a root."""
    types = [each for types in results.RESULTS.values() for each in types]
    _, definitions = msgspec.json.schema_components([*types, results.Error])
    return _json_schema("Results that commands print with --json", {"$defs": definitions})


def _json_schema(title: str, schema: Mapping[str, Any]) -> str:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**head, **schema}, indent=2) + "\n"


def raised_errors() -> list[type[errors.DapError]]:
    """Return every class of error that is raised."""
    found: list[type[errors.DapError]] = [errors.DapError]
    for each in found:
        found += (child for child in each.__subclasses__() if child.__module__.startswith(errors.__name__))
    return [each for each in found if each.__name__ not in BASES]


def error_codes() -> str:
    """Return the table of error codes and exit codes."""
    rows = [
        (f"`{each.code}`", str(each.exit_code), (each.__doc__ or "").splitlines()[0], "yes" if each.retryable else "no")
        for each in sorted(raised_errors(), key=lambda each: (each.exit_code, each.__name__))
    ]
    done = ("", "0", "Success.", "")
    pipe = ("", str(BROKEN_PIPE), "The program that read stdout has ended.", "")
    return _rows(("error code", "exit code", "meaning", "retry may help"), [done, *rows, pipe])


def error_fields() -> str:
    """Return the table of the fields of an error."""
    return _fields(results.Error)


def result_fields() -> str:
    """Return a section for the results of each command."""
    shown: set[type] = {results.Error}
    sections = []
    for commands, types in results.RESULTS.items():
        parts = [f"### {commands}"]
        for each in types:
            intro = (each.__doc__ or "").strip()
            parts += [] if intro.startswith("The result of") else [intro.removesuffix(".") + ":"]
            parts += _type_sections(each, shown)
        sections.append("\n\n".join(parts))
    return "\n\n".join(sections)


def _type_sections(kind: type, shown: set[type]) -> list[str]:
    """Return the fields of a type and of the types that they contain, each type once on the page."""
    shown.add(kind)
    sections = [_fields(kind)]
    for field in msgspec.structs.fields(kind):
        info = inspect.type_info(field.type)
        for inner in _structs(info):
            if inner not in shown:
                head = f"Each object in `{field.name}`:" if "array" in _type_name(info) else f"`{field.name}`:"
                sections += [head, *_type_sections(inner, shown)]
    return sections


def _structs(kind: inspect.Type) -> list[type]:
    match kind:
        case inspect.Metadata(type=inner) | inspect.VarTupleType(item_type=inner):
            return _structs(inner)
        case inspect.UnionType(types=types):
            return [found for each in types for found in _structs(each)]
        case inspect.StructType(cls=cls):
            return [cls]
    return []


def _fields(kind: type) -> str:
    rows = []
    for field in msgspec.structs.fields(kind):
        info = inspect.type_info(field.type)
        assert isinstance(info, inspect.Metadata), f"{kind.__name__}.{field.name} has no description"
        meaning = (info.extra_json_schema or {})["description"]
        rows.append((f"`{field.name}`", _type_name(info), meaning))
    return _rows(("field", "type", "meaning"), rows)


def _type_name(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(type=inner):
            return _type_name(inner)
        case inspect.UnionType(types=types):
            return " or ".join(_type_name(each) for each in types)
        case inspect.VarTupleType(item_type=inner):
            return f"array of {_type_name(inner)}s"
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{each}`" for each in values)
        case inspect.StructType() | inspect.DictType():
            return "object"
    names = {
        inspect.StrType: "string",
        inspect.IntType: "integer",
        inspect.FloatType: "number",
        inspect.BoolType: "boolean",
        inspect.NoneType: "null",
    }
    return names[type(kind)]


def journal_entries() -> str:
    """Return the table of the entries of a journal."""
    union = inspect.type_info(AnyEntry)
    assert isinstance(union, inspect.UnionType)
    rows = []
    for each in union.types:
        assert isinstance(each, inspect.StructType)
        fields = ", ".join(f"`{field.encode_name}`" for field in each.fields if field.name != "time")
        rows.append((f"`{each.tag}`", (each.cls.__doc__ or "").splitlines()[0], fields))
    return _rows(("event", "meaning", "fields"), rows)


def _rows(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


BLOCKS: Mapping[str, Callable[[], str]] = {
    "error codes": error_codes,
    "error fields": error_fields,
    "result fields": result_fields,
    "journal entries": journal_entries,
}
"""Blocks of formats.md, and the functions that return their text."""


def formats() -> str:
    """Return formats.md with its generated blocks up to date; the text around them is written by hand."""
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    for name, make in BLOCKS.items():
        begin, end = f"<!-- generated: {name} -->", "<!-- end of generated text -->"
        head, found, tail = page.partition(begin)
        assert found, f"formats.md has no block {name!r}"
        page = f"{head}{begin}\n\n{make()}\n\n{end}{tail.partition(end)[2]}"
    return page


GENERATED: Mapping[str, Callable[[], str]] = {
    "reference.md": reference,
    "formats.md": formats,
    "manifest.schema.json": manifest_schema,
    "journal.schema.json": journal_schema,
    "results.schema.json": results_schema,
}
"""Generated files in this folder, and the functions that return their text."""


def write() -> None:
    """Update every generated file."""
    for name, make in GENERATED.items():
        (DOCS / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write()
