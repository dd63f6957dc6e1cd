from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.formats.lines import columns, one_line, shorten, split_columns
from tests.formats.views import fuzz


@fuzz
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_one_line_is_one_line_and_can_be_written(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    assert one_line(line) == line
    assert line.encode().decode() == line


def test_one_line_keeps_what_is_seen():
    assert one_line(" a\n\x00b\u2028c\t") == "a b c"
    assert one_line("\udcff") == "\ufffd"


def test_columns():
    assert columns("abc") == 3
    assert columns("語") == 2
    assert columns("e\u0301") == 1


@fuzz
@given(st.text(), st.integers(2, 10))
def test_split_columns_loses_nothing(text, limit):
    pieces = split_columns(text, limit)
    assert "".join(pieces) == text
    assert all(columns(piece) <= limit for piece in pieces)


def test_split_never_parts_a_letter_from_its_mark():
    assert split_columns("abe\u0301d", 3) == ["abe\u0301", "d"]


@fuzz
@given(st.text(), st.integers(3, 10))
def test_shorten(text, limit):
    short = shorten(text, limit)
    assert columns(short) <= limit
    assert short == text or short.endswith("…")
