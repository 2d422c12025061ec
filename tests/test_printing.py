"""Text that a terminal does not obey."""

import io

import pytest

from tfgig.printing import Printable, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat,\tfour\nlines", "a cat,\tfour\nlines"),
        ("Größe 猫 \U0001f408", "Größe 猫 \U0001f408"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("10 %\rerror", "10 %\\rerror"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("name\udcff", "name\\udcff"),
    ],
)
def test_control_characters_are_written_out(text, expected):
    assert printable(text) == expected


def test_a_stream_writes_them_out_and_lets_progress_bars_draw():
    inner = io.StringIO()
    stream = Printable(inner)
    print("\x1b[2J50 %", end="\r", file=stream)
    assert inner.getvalue() == "\\x1b[2J50 %\r"
    assert not stream.isatty()
