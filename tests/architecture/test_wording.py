"""Words that we do not use in help texts, messages, JSON keys, documentation, docstrings and comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from tests.architecture.source_tree import SOURCE, modules

from dapkit.cli.main import dap
from dapkit.export.journal import AnyEntry
from dapkit.transfer.manifest import Manifest, ManifestObject

ROOT = Path(__file__).parents[2]

FORBIDDEN = (
    "anew", "anybody", "as ever", "as it comes", "at work", "bear", "bearing", "bears", "befall", "befalls", "beside",
    "borne", "bring", "bringing", "brings", "by itself", "by themselves", "came", "everybody", "fetched", "fetches",
    "fetching", "for ever", "goes on", "going on", "gone", "in miniature", "is no age", "is no number", "is no time",
    "is none", "is not there", "lest", "made equal", "makes nothing", "meanwhile", "mend", "mends", "misfortune",
    "nobody", "not well", "of its own", "of their own", "on the books", "partly", "proven", "refuse", "refused to",
    "refuses", "refuses to", "road", "somebody", "spoils", "spoilt", "stand", "standing", "stands", "that are none",
    "the books", "the like", "told", "trouble", "vouch", "wherever", "which it cannot be", "who asks", "whoever",
    "whole",
)  # fmt: skip
"""Words and phrases that are never the plain term for anything that dapkit does."""

ALLOWED = ("there is none", "is None", "whole number", "fetched bytes", "`fetched`", "`refetched`")
"""Phrases with such a word in its ordinary sense."""

MESSAGE_NAMES = {"message", "hint", "text", "notice", "notices", "lines"}
LOG_METHODS = {"debug", "info", "warning", "error", "log"}


def found_in(where: str, text: str) -> list[str]:
    for phrase in ALLOWED:
        text = text.replace(phrase, "")
    words = " ".join(text.split())
    return [f"{where}: {word!r} in {words[:80]!r}" for word in FORBIDDEN if re.search(rf"(?i)\b{word}\b", words)]


def help_texts() -> Iterator[tuple[str, str]]:
    top = click.Context(dap)
    for name in ("", *dap.list_commands(top)):
        command = dap.get_command(top, name) if name else dap
        assert command is not None
        yield f"dap {name} --help", f"{command.help} {command.epilog} {command.short_help}"
        for parameter in command.params:
            yield f"dap {name} {parameter.opts[0]}", getattr(parameter, "help", None) or ""


def messages() -> Iterator[tuple[str, str]]:
    """Yield the texts in calls of exceptions, notices and the log, and those that are assigned to such a name."""
    for name, tree in modules().items():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if _is_message(called):
                    given = [*node.args, *(keyword.value for keyword in node.keywords)]
                case ast.keyword(arg=argument, value=value) if argument in MESSAGE_NAMES:
                    given = [value]
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target in MESSAGE_NAMES | {
                    "default_hint"
                }:
                    given = [value]
                case ast.Return(value=ast.JoinedStr() as value):
                    given = [value]
                case _:
                    continue
            for text in filter(None, map(_text, given)):
                yield f"{name}:{node.lineno if hasattr(node, 'lineno') else 0}", text


def _is_message(called: str) -> bool:
    return called.endswith(("Error", "Exception", "Parameter")) or called in LOG_METHODS | {
        "Notice", "notice", "print", "ok", "skipped", "fail", "result",
    }  # fmt: skip


def _text(node: ast.expr) -> str:
    """Return the constant parts of an expression: strings, f-strings and the texts in them, both sides of an `if`."""
    return " ".join(
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def json_keys() -> Iterator[tuple[str, str]]:
    for name, tree in modules().items():
        if name.startswith("cli/"):
            for node in ast.walk(tree):
                if isinstance(node, ast.Dict):
                    for key in node.keys:
                        if isinstance(key, ast.Constant) and isinstance(key.value, str):
                            yield f"{name}:{node.lineno}", key.value.replace("_", " ")
    for kind in (Manifest, ManifestObject, *AnyEntry.__args__):
        for field in msgspec.structs.fields(kind):
            yield kind.__name__, field.encode_name.replace("_", " ")
        yield kind.__name__, str(kind.__struct_config__.tag or "").replace("-", " ")


def explanations() -> Iterator[tuple[str, str]]:
    """Yield the docstrings and comments of the source."""
    for name, tree in modules().items():
        for node in ast.walk(tree):
            match node:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield f"{name}:{node.lineno}", text
        for token in tokenize.generate_tokens(io.StringIO((SOURCE / name).read_text(encoding="utf-8")).readline):
            if token.type == tokenize.COMMENT:
                yield f"{name}:{token.start[0]}", token.string


def pages() -> Iterator[tuple[str, str]]:
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def test_no_text_for_users_contains_a_forbidden_word() -> None:
    assert SOURCE.is_dir()
    texts = [*help_texts(), *messages(), *json_keys(), *pages()]
    assert len(texts) > 1000
    assert [offender for where, text in texts for offender in found_in(where, text)] == []


def test_no_docstring_or_comment_contains_a_forbidden_word() -> None:
    texts = list(explanations())
    assert len(texts) > 1000
    assert [offender for where, text in texts for offender in found_in(where, text)] == []
