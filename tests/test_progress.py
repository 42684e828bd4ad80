"""Progress in a log: plain lines with the time left, or without where nobody knows how much there is."""

import logging
import signal

import pytest

from thingstuff import progress
from thingstuff.progress import Progress


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


class TestCtrlC:
    @pytest.fixture(autouse=True)
    def _usual_handler(self):
        """Whoever ran before may have left another."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_one_that_got_lost_is_raised_by_the_next_step(self):
        class Finalised:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)  # where Python ignores what is raised

        with pytest.raises(KeyboardInterrupt), Progress(3, "job") as job:
            job.step()
            Finalised()
            is_lost = True
            job.step()
        assert is_lost
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_one_that_arrives_is_raised_at_once_and_once(self):
        with Progress(3, "job") as job:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                job.step()  # whoever caught it may not go on
            job.step()

    def test_a_handler_of_somebody_else_stays(self):
        got = []
        before = signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
        try:
            with Progress(3, "job") as job:
                signal.raise_signal(signal.SIGINT)
                job.step()
        finally:
            signal.signal(signal.SIGINT, before)
        assert got == [signal.SIGINT]
