"""A part of a page between two marks."""

import pytest

from thingstuff.errors import ConfigError
from thingstuff.report.marks import Marks

MARKS = Marks("a table")
BEGIN, END = MARKS.begin, MARKS.end


def test_the_rest_of_the_page_stays_as_it_is(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\nmore\n")
    for _ in range(2):
        MARKS.write(page, "| new |\n")
    assert page.read_text() == f"# Mine\n\n{BEGIN}\n\n| new |\n\n{END}\n\nmore\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN} {BEGIN} {END} {END}"])
def test_a_page_without_its_marks_is_refused(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(
        ConfigError, match="page.md: expected a page with the lines <!-- begin: a table --> and <!-- end"
    ):
        MARKS.write(page, "new")
    assert page.read_text() == text
    with pytest.raises(ConfigError, match="none.md: expected a page"):
        MARKS.require(tmp_path / "none.md")
