import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapkit.decode.thrift import BrokenThriftError, CompactReader, Wanted

# Field 1: i32 150; 2: true; 3: binary "hi"; 4: list of two i64 (1, -1); 5: struct {1: i16 7};
# 6: double; 7: map of binary "k" to i32 3; 8: set of bytes; 9: list of bools; 10: byte; then the end.
STRUCT = bytes.fromhex(
    "15 ac02  11  18 02 6869  19 26 02 01  1c 14 0e 00  17 0000000000000000"
    "1b 01 85 01 6b 06  1a 23 01 02  19 21 01 02  13 05  00"
)


def test_wanted_fields_are_read_and_the_rest_is_stepped_over() -> None:
    reader = CompactReader(STRUCT + b"rest")
    found = reader.read({1: None, 2: None, 3: None, 4: None, 5: {1: None}, 10: None, 99: None})
    assert found == {1: 150, 2: True, 3: b"hi", 4: [1, -1], 5: {1: 7}, 10: 5}
    assert reader.position == len(STRUCT)


def test_nothing_wanted_still_finds_the_end() -> None:
    reader = CompactReader(STRUCT, 0)
    assert reader.read({}) == {}
    assert reader.position == len(STRUCT)


def test_long_form_of_field_numbers_and_list_sizes() -> None:
    data = bytes.fromhex("05 c801 02  09 c801") + b"\xf5\x10" + b"\x02" * 16 + b"\0"
    assert CompactReader(data).read({100: None}) == {100: [1] * 16}


@pytest.mark.parametrize("count", range(len(STRUCT)))
@pytest.mark.parametrize("wanted", [{}, {1: None, 3: None, 4: None, 5: {1: None}, 8: None}])
def test_every_truncation_is_found(count: int, wanted: Wanted) -> None:
    with pytest.raises(BrokenThriftError):
        CompactReader(STRUCT[:count]).read(wanted)


@pytest.mark.parametrize(
    "data",
    [
        b"\x1d\0",  # a type that does not exist
        b"\x15" + b"\xff" * 12 + b"\0\0",  # a number without end
        b"\x1c" * 100,  # structs in structs
        b"\x19\xfc\xff\xff\xff\xff\x0f" + b"\0" * 4,  # a list longer than the data
        b"\x18\xff\xff\xff\xff\x0f\0",  # a text longer than the data
        b"\xbb" + b"\xff" * 8 + b"\x3f\x11" + b"\0" * 9,  # a map longer than the data, of booleans
        b"\xbb" + b"\xff" * 8 + b"\x3f\x33" + b"\0" * 9,  # the same, of bytes
        b"\x19" * 5000,  # lists in lists
        b"\x1b" + b"\x01\xbb" * 5000,  # maps in maps
    ],
)
@pytest.mark.parametrize("wanted", [{}, {1: None}])
def test_hostile_data_is_refused(data: bytes, wanted: Wanted) -> None:
    with pytest.raises(BrokenThriftError):
        CompactReader(data).read(wanted)


@pytest.mark.parametrize(
    ("wanted", "held"),
    [
        ({1: int}, 150),
        ({3: bytes}, b"hi"),
        ({4: [int]}, [1, -1]),
        ({5: {1: int}}, {1: 7}),
        ({5: {}}, {}),
    ],
)
def test_what_is_of_another_kind_than_it_must_be_is_refused(wanted: Wanted, held: object) -> None:
    assert list(CompactReader(STRUCT).read(wanted).values()) == [held]
    ((field, form),) = wanted.items()
    for other in {1, 2, 3, 4, 5, 10} - {field}:
        with pytest.raises(BrokenThriftError, match="another"):
            CompactReader(STRUCT).read({other: form})


@given(
    data=st.binary(max_size=60),
    wanted=st.sampled_from([{}, {1: None, 2: {1: None}, 3: None}, {1: int, 2: [bytes], 3: {1: [{1: int}]}}]),
)
def test_any_bytes_are_read_or_refused(data: bytes, wanted: Wanted) -> None:
    reader = CompactReader(data)
    try:
        reader.read(wanted)
    except BrokenThriftError:
        return
    assert 0 < reader.position <= len(data)
