"""Tables of text that fit the terminal."""

from dapkit.cli.table_layout import Column, lay_out

NAMES = Column(heading="table", cells=("courses", "assignment_override_students"))
ROWS = Column(heading="rows", cells=("8", "1,234"), right=True)
AT = Column(heading="at", cells=("09:00", "09:00"), phrase=lambda cells: f"at {cells[0]}")
CHECKS = Column(heading="verified", cells=("CRC", "length"), phrase=lambda cells: f"verified: {' / '.join(cells)}")


def test_what_is_equal_in_all_rows_becomes_a_phrase() -> None:
    layout = lay_out([NAMES, ROWS, AT, CHECKS], None)
    assert layout.lines == (
        "table                          rows  verified",
        "courses                           8  CRC",
        "assignment_override_students  1,234  length",
    )
    assert layout.phrases == ("at 09:00",)


def test_what_does_not_fit_becomes_a_phrase() -> None:
    layout = lay_out([NAMES, ROWS, AT, CHECKS], 40)
    assert layout.lines[2] == "assignment_override_students  1,234"
    assert layout.phrases == ("at 09:00", "verified: CRC / length")


def test_a_name_that_is_too_long_is_shortened() -> None:
    layout = lay_out([NAMES, ROWS], 30)
    assert layout.lines[2] == "assignment_override_st…  1,234"
    assert max(map(len, layout.lines)) <= 30


def test_a_table_without_rows_is_empty() -> None:
    layout = lay_out([Column(heading="table", cells=()), Column(heading="at", cells=(), phrase=lambda _: "no")], 80)
    assert (layout.lines, layout.phrases) == ((), ())
