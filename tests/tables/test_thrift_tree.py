"""What was read from Thrift's compact protocol is written as the same bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.tables.thrift_tree import (
    BINARY,
    I16,
    I32,
    I64,
    LIST,
    STRUCT,
    Struct,
    TreeReader,
    Value,
    binary,
    encode,
    integer,
    structs,
)

_TRUE, _FALSE, _BYTE, _DOUBLE, _SET = 1, 2, 3, 7, 10
_CONTENTS: dict[int, st.SearchStrategy[Any]] = {
    _BYTE: st.binary(min_size=1, max_size=1),
    I16: st.integers(-(2**15), 2**15 - 1),
    I32: st.integers(-(2**31), 2**31 - 1),
    I64: st.integers(-(2**63), 2**63 - 1),
    _DOUBLE: st.binary(min_size=8, max_size=8),
    BINARY: st.binary(max_size=300),
}
_FIELDS: list[st.SearchStrategy[Value]] = [
    st.builds(Value, st.sampled_from([_TRUE, _FALSE]), st.none()),
    *(st.builds(Value, st.just(kind), content) for kind, content in _CONTENTS.items()),
]


def _lists(items: st.SearchStrategy[Struct]) -> st.SearchStrategy[tuple[int, list[Any]]]:
    contents = [st.tuples(st.just(kind), st.lists(content, max_size=20)) for kind, content in _CONTENTS.items()]
    booleans = st.tuples(st.just(_TRUE), st.lists(st.sampled_from([b"\x01", b"\x02"]), max_size=20))
    return st.one_of(*contents, booleans, st.tuples(st.just(STRUCT), st.lists(items, max_size=20)))


def _structs(inner: st.SearchStrategy[Struct]) -> st.SearchStrategy[Struct]:
    nested = [
        st.builds(Value, st.just(STRUCT), inner),
        st.builds(Value, st.sampled_from([LIST, _SET]), _lists(inner)),
    ]
    fields = st.dictionaries(st.integers(1, 2**15 - 1), st.one_of(*_FIELDS, *nested), max_size=6)
    return fields.map(lambda each: dict(sorted(each.items())))


STRUCTS = st.recursive(st.just(Struct()), _structs, max_leaves=8)


@given(STRUCTS)
def test_a_struct_is_read_as_it_was_written(struct: Struct) -> None:
    """Every type, however deep, and any distance between the numbers of fields."""
    data = encode(struct)
    found = TreeReader(data).struct()
    assert found == struct
    assert encode(found) == data


def test_the_bytes_are_those_of_the_protocol() -> None:
    """Worked out by hand from the protocol's definition."""
    struct = {
        1: integer(-1),
        3: binary(b"ab"),
        4: Value(_TRUE, None),
        40: Value(I32, 300),
        41: structs([{1: Value(_FALSE, None)}, {}]),
    }
    expected = "1601 28026162 11 0550 d804 192c 1200 00 00"
    assert encode(struct) == bytes.fromhex(expected.replace(" ", ""))


def test_a_map_is_refused() -> None:
    """Parquet's footers have none."""
    with pytest.raises(ValueError, match="Thrift type 11 is not supported"):
        TreeReader(b"\x1b\x00\x00").struct()
