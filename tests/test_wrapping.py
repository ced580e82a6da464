"""Texts in columns: broken between words, behind the marks of UIDs and paths, in the columns of wide characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvis.cli.wrapping import cells, fitted, wrapped


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("left out as copies", 10, ["left out", "as copies"]),
        ("1.3.6.1.4.1.14519.5.2.1", 12, ["1.3.6.1.4.1.", "14519.5.2.1"]),
        ("series-10-lung-window-fine", 12, ["series-10-", "lung-window-", "fine"]),
        ("0123456789abcdef0123", 8, ["01234567", "89abcdef", "0123"]),
        ("胸部平扫", 4, ["胸部", "平扫"]),  # each takes two columns
        ("", 5, [""]),
    ],
)
def test_where_lines_break(text, width, lines):
    assert wrapped(text, width) == lines


@given(st.text(alphabet="ab -./胸", max_size=60), st.integers(2, 30))
def test_no_line_is_too_long_and_nothing_is_lost(text, width):
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_the_widest_column_gives_way_and_words_stay_whole():
    short, long = ["plane", "axial"], ["remarks", "one file was left out as a copy of another"]
    assert fitted([short, long], 100) == [5, 42]
    assert fitted([short, long], 30) == [5, 25]
    assert fitted([["unbreakable"], ["unbreakable"]], 15) is None
