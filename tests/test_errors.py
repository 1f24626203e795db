"""What is printed commands no terminal."""

from genarena.errors import UserError, counted, printable


def test_control_characters_are_written_out() -> None:
    assert printable("a\x1b[31mb\x07\x9b") == r"a\x1b[31mb\x07\x9b"
    assert printable("\u202eevil\u2066 \ud800") == r"\u202eevil\u2066 \ud800"
    assert printable("päth 日本\n\ttext") == "päth 日本\n\ttext"
    assert printable("two\nlines", keep="") == r"two\x0alines"
    assert str(UserError("name=\x1b]0;owned\x07: no")) == r"name=\x1b]0;owned\x07: no"


def test_one_is_no_plural() -> None:
    assert [counted(number, "sample") for number in (0, 1, 2, 2048)] == [
        "0 samples",
        "1 sample",
        "2 samples",
        "2,048 samples",
    ]
