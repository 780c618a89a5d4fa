"""Any text survives being written as YAML and read by another program."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dapkit.describe.yaml_text import Value, to_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z_]{1,8}x", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_values_are_read_back(value: Value) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "1",
        "2026-01-01",
        "null",
        "a: b",
        "- x",
        "# x",
        "{x}",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "'",
        '"',
        "\\",
        " x ",
    ],
)
def test_no_text_is_taken_for_anything_else(text: str) -> None:
    assert yaml.safe_load(to_yaml({"description": text})) == {"description": text}


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "\t", "\x00", "\x1b[0m", "\x7f", "\x85", "\u2028", "\ufeff", "\uffff", "é 漢 😀"]
)
def test_special_characters_are_kept(text: str) -> None:
    written = to_yaml([text])
    assert yaml.safe_load(written) == [text]
    assert len(written.splitlines()) == 1


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert yaml.safe_load(to_yaml("a\ud83d")) == "a\ufffd"


def test_the_layout_is_that_of_handwritten_files() -> None:
    value: Value = {"version": 2, "sources": [{"name": "a", "tables": [{"name": "b", "tags": []}]}, {}]}
    assert to_yaml(value).splitlines() == [
        "version: 2",
        "sources:",
        '  - name: "a"',
        "    tables:",
        '      - name: "b"',
        "        tags: []",
        "  - {}",
    ]
