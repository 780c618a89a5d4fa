"""Unpaired surrogates in JSON are found and replaced; pairs, and texts that only look like one, stay."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.decode.surrogates import has_unpaired_surrogate, replace_unpaired_surrogates


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("", ""), ('{"a": 1}', '{"a": 1}'), (r'"\ud83d"', r'"\ufffd"'), (r'"\uDE00"', r'"\ufffd"'),
        (r'"\ud83d\ude00"', r'"\ud83d\ude00"'), (r'"\uD83D\uDE00"', r'"\uD83D\uDE00"'),
        (r'"\ude00\ud83d"', r'"\ufffd\ufffd"'), (r'"\ud83d\ud83d\ude00"', r'"\ufffd\ud83d\ude00"'),
        (r'"\ud83dx\ude00"', r'"\ufffdx\ufffd"'), (r'"\ud83d\n"', r'"\ufffd\n"'), (r'"\\ud83d"', r'"\\ud83d"'),
        (r'"\\\ud83d"', r'"\\\ufffd"'), (r'"\ud83d\\ude00"', r'"\ufffd\\ude00"'),
        (r'"\ud7ff\ue000"', r'"\ud7ff\ue000"'), (r'"\ud83', r'"\ud83'), ("\\", "\\"),
    ],
)  # fmt: skip
def test_replacement(text: str, replaced: str) -> None:
    assert replace_unpaired_surrogates(text) == replaced
    assert has_unpaired_surrogate(text) is (text != replaced)


@given(st.text(alphabet=[*map(chr, (0xD800, 0xDBFF, 0xDC00, 0xDFFF)), "\\", "u", "d", '"', "\n", "é", "\U0001f600"]))
def test_what_is_replaced_can_be_encoded(text: str) -> None:
    written = json.dumps(text)
    repaired = json.loads(replace_unpaired_surrogates(written))
    repaired.encode()
    pairs = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert len(repaired) <= len(text)
    if not has_unpaired_surrogate(written):
        assert repaired == pairs
