"""PURE. Writes values as YAML. Every text is quoted, so that none can be read as a number, a date or syntax."""

import json
import re
from collections.abc import Mapping, Sequence

Value = str | int | Sequence["Value"] | Mapping[str, "Value"]

_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_yaml(value: Value) -> str:
    """Return a value as a YAML document. Keys of mappings have to be plain words; half surrogate pairs are replaced."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Value) -> list[str]:
    if isinstance(value, str | int):
        return [_scalar(value)]
    if not value:
        return ["{}" if isinstance(value, Mapping) else "[]"]
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _entry(key, item)]
    return [line for item in value for line in _indented("- ", _lines(item))]


def _entry(key: str, item: Value) -> list[str]:
    lines = _lines(item)
    if isinstance(item, str | int) or not item:
        return [f"{key}: {lines[0]}"]
    return [f"{key}:", *(f"  {line}" for line in lines)]


def _indented(first: str, lines: Sequence[str]) -> list[str]:
    return [f"{first if not index else '  '}{line}" for index, line in enumerate(lines)]


def _scalar(value: str | int) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    # The escapes of JSON are also escapes of YAML, which has fewer characters that need none.
    text = json.dumps(_SURROGATE.sub("\ufffd", value), ensure_ascii=False)
    return _NOT_PRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
