"""Progress in a log: plain lines with the time left, or without where nobody knows how much there is."""

import logging

import pytest

from thingstuff import progress


@pytest.mark.parametrize(
    ("total", "line", "end"),
    [(4, "work: 1 of 4, loss 2, ", "work: 2 of 4 in"), (None, "work: 1, loss 2, ", "work: 2 in")],
)
def test_lines(monkeypatch, caplog, total, line, end):
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0)
    with caplog.at_level(logging.INFO), progress.Progress(total, "work") as job:
        job.step(loss="2")
        job.step()
    lines = [record.message for record in caplog.records]
    assert lines[0].startswith(line)
    assert ("left" in lines[0]) == (total is not None)
    assert lines[-1].startswith(end)
