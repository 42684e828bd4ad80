"""The codes of all checks: distinct, and listed in the documentation as they are."""

from pathlib import Path

from thingstuff.data.checks import codes

DOCS = Path(__file__).parents[3] / "docs" / "datasets.md"


def test_every_code_has_one_name():
    names = [code.name for code in codes()]
    assert len(names) == len(set(names)) >= 30


def test_the_documentation_lists_them():
    rows = [f"| `{c.name}` | {c.severity} | {'yes' if c.is_fixable else ''} | {c.mend} |" for c in codes()]
    listed = [line for line in DOCS.read_text().splitlines() if line.startswith("| `") and line.count("|") == 5]
    assert [line for line in listed if line.split("|")[2].strip() in ("error", "warning", "info")] == rows
