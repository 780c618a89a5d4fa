r"""Contract: the table of oddities. What a service could send is accepted, repaired or rejected alike on every target.

Each oddity is tried in every kind of load. The table in `docs/malformed-files.md` says the same in words.
"""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.contract.database_fixture import Outcome, Values
from tests.contract.table_fixture import TableFixture
from tests.support.table_schemas import INT32, TEXT, table_of

from dapkit.decode.row_count import row_counter
from dapkit.errors import BadValueError, DapError, IntegrityError, MalformedFileError
from dapkit.model import Format, Table
from dapkit.targets.base import BadValues, DataFiles, LoadOptions, TableStatus

_MORE = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}
TABLE = table_of({"name": TEXT, "size": INT32, "more": _MORE, "tags": {"type": "array", "items": TEXT}})
STRICT = table_of({"name": TEXT, "size": INT32}, required=["name"])
"""A table in which a row without values must have been deleted."""

ENDS_IN_TEXT = table_of({"name": TEXT, "last": TEXT})

TS = b"2024-03-01T12:00:00.000Z"
COLUMNS = b"key.id\tvalue.name\tvalue.size\tvalue.more\tvalue.tags"
NULL = rb"\N"


def row(*fields: bytes) -> bytes:
    """Return a line without its metadata and its line break."""
    return b"\t".join(fields)


USUAL = [row(b"1", b"one", b"1", NULL, NULL), row(b"2", b"two", b"2", b'{"a": "b"}', b'["c"]')]
EMPTY = row(b"9", NULL, NULL, NULL, NULL)
ROWS: list[Values] = [
    {"id": 1, "name": "one", "size": 1, "more": None, "tags": None},
    {"id": 2, "name": "two", "size": 2, "more": {"a": "b"}, "tags": ["c"]},
]
BEFORE: list[Values] = [{"id": 1, "name": "before"}, {"id": 9, "name": "other"}]

Part = bytes | None
"""The text of a file before compression; None for a file of zero bytes."""


def part(*rows: bytes, action: bool, columns: bytes = COLUMNS, ts: bytes = TS, mark: bytes = b"U") -> bytes:
    """Return a usual file with these rows, each without its metadata."""
    meta, values = (b"meta.ts\tmeta.action\t", ts + b"\t" + mark + b"\t") if action else (b"meta.ts\t", ts + b"\t")
    return b"".join(line + b"\n" for line in (meta + columns, *(values + row for row in rows)))


def usual(*, action: bool) -> bytes:
    """Return a usual file with the usual rows."""
    return part(*USUAL, action=action)


def bare(*rows: bytes, header: bytes) -> bytes:
    """Return a file with this header and these lines."""
    return b"".join(line + b"\n" for line in (header, *rows))


def value(name: bytes = b"x", more: bytes = NULL, tags: bytes = NULL) -> bytes:
    """Return a third row."""
    return row(b"3", name, b"3", more, tags)


@dataclass(frozen=True)
class Oddity:
    """Unusual files for a snapshot or an increment, and what becomes of them.

    Attributes:
        parts: the files, made for a snapshot (False) or an increment (True).
        rows: what is loaded.
        originals: the originals of repaired values of row 3, by column.
        rejected: the error, if the files are rejected.
        words: what its message says.
        loads: `snapshot`, `increment` or both.
    """

    parts: Callable[[bool], Sequence[Part]]
    rows: Sequence[Values] = field(default_factory=lambda: ROWS)
    originals: Mapping[str, str] = field(default_factory=dict)
    rejected: type[DapError] | None = None
    words: str = ""
    loads: Sequence[str] = ("snapshot", "increment")
    table: Table = TABLE


def third(name: str = "x", more: Any = None, tags: Any = None) -> list[Values]:
    """Return the usual rows and a third one."""
    return [*ROWS, {"id": 3, "name": name, "size": 3, "more": more, "tags": tags}]


def with_third(**fields: bytes) -> Callable[[bool], Sequence[Part]]:
    """Return files with the usual rows and a third one."""
    return lambda action: [part(*USUAL, value(**fields), action=action)]


def replaced(old: bytes, new: bytes) -> Callable[[bool], Sequence[Part]]:
    """Return the usual file with some bytes replaced."""
    return lambda action: [usual(action=action).replace(old, new)]


def rejected(parts: Callable[[bool], Sequence[Part]], words: str, **more: Any) -> Oddity:
    """Return files that are malformed."""
    return Oddity(parts, rejected=MalformedFileError, words=words, **more)


def bad_value(column: str, field: bytes, words: str) -> Oddity:
    """Return files with a third row whose value is not of its column's type."""
    fields = {"size": NULL, "more": NULL, "tags": NULL} | {column: field}
    return Oddity(
        lambda action: [part(*USUAL, row(b"3", b"x", *fields.values()), action=action)],
        rejected=BadValueError,
        words=f"Column {column} has the value {words}",
    )


ACCEPTED = {
    "an empty part": Oddity(lambda action: [b"", usual(action=action), b""]),
    "a part of zero bytes": Oddity(lambda action: [usual(action=action), None]),
    "only a header": Oddity(lambda action: [part(action=action), usual(action=action)]),
    "a byte order mark": Oddity(lambda action: [b"\xef\xbb\xbf" + usual(action=action)]),
    "lines that end with CR LF": Oddity(replaced(b"\n", b"\r\n")),
    "CR LF, but not at the end": Oddity(lambda action: [usual(action=action).replace(b"\n", b"\r\n")[:-2]]),
    "CR LF in one of the parts": Oddity(
        lambda action: [part(USUAL[0], action=action), part(USUAL[1], action=action).replace(b"\n", b"\r\n")]
    ),
    "a last line without a line break": Oddity(lambda action: [usual(action=action)[:-1]]),
    "empty lines": Oddity(lambda action: [usual(action=action).replace(b"\n", b"\n\n")]),
    "a carriage return in a text": Oddity(with_third(name=b"a\rb\r"), third("a\rb\r")),
    "a carriage return at the end of a line, which is part of its text": Oddity(
        lambda action: [part(row(b"1", b"one", b"x\r"), action=action, columns=b"key.id\tvalue.name\tvalue.last")],
        [{"id": 1, "name": "one", "last": "x\r"}],
        table=ENDS_IN_TEXT,
    ),
    "escapes that do not exist": Oddity(with_third(name=rb"\q\x41\\"[:-1]), third("\\q\\x41\\")),
    "columns in another order in one of the parts": Oddity(
        lambda action: [
            part(USUAL[0], action=action),
            part(
                row(b'["c"]', b"two", b"2", b"2", b'{"a": "b"}'),
                action=action,
                columns=b"value.tags\tvalue.name\tkey.id\tvalue.size\tvalue.more",
            ),
        ]
    ),
    "an unknown column of metadata": Oddity(
        lambda action: [usual(action=action).replace(b"meta.ts", b"meta.source\tmeta.ts").replace(TS, b"x\t" + TS)]
    ),
    "no metadata": Oddity(lambda _: [bare(*USUAL, header=COLUMNS)]),
    "an action without a time": Oddity(
        lambda _: [bare(*(b"U\t" + row for row in USUAL), header=b"meta.action\t" + COLUMNS)]
    ),
    "no metadata in one of the parts": Oddity(
        lambda action: [part(USUAL[0], action=action), bare(USUAL[1], header=COLUMNS)]
    ),
    "rows without a time": Oddity(replaced(TS, rb"\N")),
    "times that are none": Oddity(replaced(TS, b"yesterday")),
    "an increment with rows without an action": Oddity(
        lambda _: [part(*USUAL, action=True, mark=rb"\N")], loads=("increment",)
    ),
    "a snapshot with deleted rows": Oddity(
        lambda _: [part(*USUAL, action=True), part(EMPTY, action=True, mark=b"D")],
        loads=("snapshot",),
    ),
    "rows without action that must have been deleted": Oddity(
        lambda _: [bare(row(b"1", b"one", b"1"), row(b"9", NULL, NULL), header=b"key.id\tvalue.name\tvalue.size")],
        [{"id": 1, "name": "one", "size": 1}],
        table=STRICT,
        loads=("increment",),
    ),
}
REPAIRED = {
    "bytes that are not UTF-8": Oddity(with_third(name=b"a\xffb"), third("a\ufffdb"), {"name": r"a\xffb"}),
    "a character that is cut": Oddity(with_third(name=b"\xe4\xb8"), third("\ufffd"), {"name": r"\xe4\xb8"}),
    "a surrogate as bytes": Oddity(
        with_third(name=b"\xed\xa0\xbd!"), third("\ufffd\ufffd\ufffd!"), {"name": r"\xed\xa0\xbd!"}
    ),
    "bytes in JSON that are not UTF-8": Oddity(
        with_third(more=b'{"a": "\xe9"}'), third(more={"a": "\ufffd"}), {"more": r'{"a": "\xe9"}'}
    ),
    "the first half of a pair in an object": Oddity(
        with_third(more=rb'{"a": "x\\ud83d"}'), third(more={"a": "x\ufffd"}), {"more": r'{"a": "x\ud83d"}'}
    ),
    "the second half of a pair in an object": Oddity(
        with_third(more=rb'{"a": "\\uDE00x"}'), third(more={"a": "\ufffdx"}), {"more": r'{"a": "\uDE00x"}'}
    ),
    "half a pair in a list of texts": Oddity(
        with_third(tags=rb'["a", "\\uD83D", "\\ud83d\\ude00"]'),
        third(tags=["a", "\ufffd", "\U0001f600"]),
        {"tags": r'["a", "\uD83D", "\ud83d\ude00"]'},
    ),
    "two repairs in one value": Oddity(
        with_third(more=b'{"a": "\xe9\\\\\\\\ud83d\\\\ud83d"}'),
        third(more={"a": "\ufffd\\ud83d\ufffd"}),
        {"more": r'{"a": "\xe9\\ud83d\ud83d"}'},
    ),
    "repairs in two columns": Oddity(
        with_third(name=b"\x80", more=rb'{"a": "\\ud83d"}'),
        third("\ufffd", {"a": "\ufffd"}),
        {"name": r"\x80", "more": r'{"a": "\ud83d"}'},
    ),
}
UNTOUCHED = {
    "a pair of surrogates": Oddity(with_third(more=rb'{"a": "\\ud83d\\ude00"}'), third(more={"a": "\U0001f600"})),
    "an escaped backslash before u": Oddity(with_third(more=rb'{"a": "\\\\ud83d"}'), third(more={"a": "\\ud83d"})),
    "half a pair in a text": Oddity(with_third(name=rb"\\ud83d"), third("\\ud83d")),
    "the replacement character": Oddity(with_third(name="\ufffd".encode()), third("\ufffd")),
}
REJECTED = {
    "a line with too few fields": rejected(with_third(name=b"x\t3\n3\ty"), "fields instead of"),
    "a line with too many fields": rejected(with_third(name=b"a\tb"), "fields instead of"),
    "no header": rejected(lambda _: [b"\t".join((TS, USUAL[0])) + b"\n"], "does not begin with a header"),
    "a web page": rejected(lambda _: [b"<html>\n<p>\xff</p>\n"], "does not begin with a header"),
    "a header that is not UTF-8": rejected(replaced(b"value.name", b"value.\xff"), "does not begin with a header"),
    "a column that is repeated": rejected(replaced(b"value.size", b"value.name"), "several columns"),
    "a column that is not in the schema": Oddity(
        replaced(b"value.size", b"value.weight"), rejected=IntegrityError, words="value.weight"
    ),
    "a column that is neither key nor value": rejected(replaced(b"value.size", b"other.size"), "other"),
    "a key that is sent as a value": Oddity(
        replaced(b"key.id", b"value.id"), rejected=IntegrityError, words="value.id"
    ),
    "no key": rejected(replaced(b"key.id", b"meta.id"), "no column key.id"),
    "parts with different columns": rejected(
        lambda action: [usual(action=action), part(b"3\tx", action=action, columns=b"key.id\tvalue.name")],
        "other columns",
    ),
    "an unknown action": rejected(lambda _: [part(*USUAL, action=True, mark=b"X")], "has the action 'X'"),
    "an action in lower case": rejected(lambda _: [part(*USUAL, action=True, mark=b"d")], "has the action 'd'"),
    "a row that may have been deleted": rejected(
        lambda _: [bare(*USUAL, EMPTY, header=COLUMNS)], "neither values nor an action", loads=("increment",)
    ),
}
BAD_VALUES = {
    "a text instead of a number": bad_value("size", b"many", "'many' (id 3), which is not a 32-bit integer"),
    "no JSON": bad_value("more", b'{"a": ', """'{"a": ' (id 3), which is not JSON"""),
    "no JSON in a list": bad_value("tags", b"nothing", "'nothing' (id 3), which is not a JSON list"),
    "no value in a required column": Oddity(
        lambda action: [part(row(b"3", NULL, b"1"), action=action, columns=b"key.id\tvalue.name\tvalue.size")],
        rejected=BadValueError,
        words="Column name has no value (id 3)",
        table=STRICT,
    ),
    "no key": Oddity(
        lambda action: [part(row(NULL, b"x", b"1"), action=action, columns=b"key.id\tvalue.name\tvalue.size")],
        rejected=BadValueError,
        words="Column id has no value (id None)",
        table=STRICT,
    ),
}


def cases(*tables: Mapping[str, Oddity]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("oddity", "kind"),
        [
            pytest.param(oddity, kind, id=f"{name}-{kind}")
            for table in tables
            for name, oddity in table.items()
            for kind in ("first load", "snapshot", "increment")
            if kind.replace("first load", "snapshot") in oddity.loads
        ],
    )


class MalformedFilesContract:
    @cases(ACCEPTED, UNTOUCHED)
    def test_files_that_are_accepted(self, fixture: TableFixture, oddity: Oddity, kind: str) -> None:
        assert not self._load_unusual(fixture, oddity, kind).repaired
        self._assert_outcome(fixture, oddity, kind)

    @cases(REPAIRED)
    def test_files_that_are_repaired(self, fixture: TableFixture, oddity: Oddity, kind: str) -> None:
        side = fixture.folder / "side.jsonl"
        stats = self._load_unusual(fixture, oddity, kind, LoadOptions(side_file=side))
        assert dict(stats.repaired) == dict.fromkeys(oddity.originals, 1)
        self._assert_outcome(fixture, oddity, kind)
        lines = [json.loads(line) for line in side.read_text(encoding="utf-8").splitlines()]
        assert {line["column"]: line["value"] for line in lines} == oddity.originals
        assert [line["key"] for line in lines] == [{"id": "3"}] * len(oddity.originals)

    @cases(REPAIRED)
    def test_repairs_that_are_not_wanted(self, fixture: TableFixture, oddity: Oddity, kind: str) -> None:
        error = self._assert_load_rejected(fixture, oddity, kind, BadValueError, LoadOptions(bad_values=BadValues.FAIL))
        column, original = next(iter(oddity.originals.items()))
        assert f"column {column} (id 3)" in error.message
        assert repr(original) in error.message

    @cases(REJECTED, BAD_VALUES)
    def test_files_that_are_rejected(self, fixture: TableFixture, oddity: Oddity, kind: str) -> None:
        assert oddity.rejected is not None
        error = self._assert_load_rejected(fixture, oddity, kind, oddity.rejected)
        assert oddity.words in error.message
        assert error.table == "things"

    def test_files_without_any_row(self, fixture: TableFixture) -> None:
        nothing = Oddity(lambda _: [b"", None], [])
        self._load_unusual(fixture, nothing, "first load")
        fixture.assert_holds(TABLE, [])
        fixture.apply_increment(TABLE, BEFORE)
        self._load_unusual(fixture, nothing, "increment", before=False)
        fixture.assert_holds(TABLE, BEFORE)

    def test_a_byte_of_a_text_may_be_zero(self, fixture: TableFixture) -> None:
        kept = fixture.database.support.nul is Outcome.KEPT
        zero = Oddity(with_third(name=b"a\0b\xff"), third("a\0b\ufffd" if kept else "ab\ufffd"))
        self._load_unusual(fixture, zero, "snapshot")
        self._assert_outcome(fixture, zero, "snapshot")

    def test_a_key_is_not_repaired(self, fixture: TableFixture) -> None:
        table = table_of({"n": INT32}, key={"k": TEXT | {"maxLength": 9}})
        odd = Oddity(lambda action: [part(b"a\t1", b"b\xff\t2", action=action, columns=b"key.k\tvalue.n")], table=table)
        with pytest.raises(BadValueError, match=r"column k \(k b\\xff\)"):
            self._load_unusual(fixture, odd, "first load")

    def test_what_was_lost_on_the_way_is_not_taken_for_an_oddity(self, fixture: TableFixture) -> None:
        files = _files(fixture.folder, [usual(action=False).replace(b"\n", b"\r\n")])
        with pytest.raises(DapError, match="rows"):
            fixture.session.initial_load(fixture.load(TABLE, DataFiles(paths=files.paths, rows=3)))

    def test_nothing_is_left_next_to_the_files(self, fixture: TableFixture) -> None:
        self._load_unusual(fixture, ACCEPTED["no metadata"], "first load")
        assert [path.name for path in fixture.folder.iterdir()] == ["odd-0.tsv.gz"]

    def _load_unusual(
        self,
        fixture: TableFixture,
        oddity: Oddity,
        kind: str,
        options: LoadOptions = LoadOptions(),  # noqa: B008, frozen
        *,
        before: bool = True,
    ) -> Any:
        if kind != "first load" and before:
            fixture.initial_load(oddity.table, BEFORE)
        files = _files(fixture.folder, oddity.parts(kind == "increment"))
        load = fixture.load(oddity.table, files, options)
        if kind == "first load":
            return fixture.session.initial_load(load)
        state = fixture.state(oddity.table)
        run = fixture.session.apply_increment if kind == "increment" else fixture.session.full_refresh
        return run(load, state)

    def _assert_outcome(self, fixture: TableFixture, oddity: Oddity, kind: str) -> None:
        kept = [] if kind != "increment" or oddity.table is STRICT else [BEFORE[1]]
        fixture.assert_holds(oddity.table, [*oddity.rows, *kept])

    def _assert_load_rejected(
        self,
        fixture: TableFixture,
        oddity: Oddity,
        kind: str,
        error: type[DapError],
        options: LoadOptions = LoadOptions(),  # noqa: B008, frozen
    ) -> DapError:
        """Expect an error, and that nothing changed."""
        if kind != "first load":
            fixture.initial_load(oddity.table, BEFORE)
            now = fixture.now
        with pytest.raises(error) as caught:
            self._load_unusual(fixture, oddity, kind, options, before=False)
        assert caught.type is error
        fixture.reopen()
        if kind == "first load":
            assert fixture.session.status("canvas", "things") is TableStatus.ABSENT
        else:
            fixture.now = now
            fixture.assert_holds(oddity.table, BEFORE)
        return caught.value


def _files(folder: Path, parts: Sequence[Part]) -> DataFiles:
    """Write files, and count their rows as the download does."""
    paths, rows = [], 0
    for text in parts:
        path = next(path for number in count() if not (path := folder / f"odd-{number}.tsv.gz").exists())
        path.write_bytes(b"" if text is None else gzip.compress(text))
        counter = row_counter(Format.TSV)
        counter.update(text or b"")
        rows += counter.rows() or 0
        paths.append(path)
    return DataFiles(paths=tuple(paths), rows=rows)
