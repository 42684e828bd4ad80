"""What a user is told is one line, whatever the names and values in it hold."""

import pytest

from thingstuff.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\u2028b\x1b[31m", r"a\r\u2028b\x1b[31m"),
        ("\udcff", r"\udcff"),
        ("é 中 \\n", "é 中 \\n"),
    ],
    ids=["newline", "controls", "no unicode", "readable"],
)
def test_what_cannot_be_printed_is_escaped(name, shown):
    assert str(DataError(f"{name}: cannot be read")) == f"{shown}: cannot be read"


def test_a_message_may_be_absent_or_no_text():
    assert str(ConfigError()) == ""
    assert str(ConfigError(3)) == "3"


def test_a_message_that_nobody_would_read_loses_its_middle():
    text = str(DataError(f"a.json: {'x' * 100_000}: write it again"))
    assert text.startswith("a.json: xxx") and text.endswith("xxx: write it again")
    assert len(text) < 1600
