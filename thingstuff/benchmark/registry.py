"""The measurements, by the name under which `tools/benchmark.py` knows them: a new one is a file and a line here."""

from thingstuff.benchmark import check, evaluate, merge, paste
from thingstuff.benchmark.measure import Measurement

MEASUREMENTS: dict[str, Measurement] = {
    m.name: m for m in (check.MEASUREMENT, evaluate.MEASUREMENT, merge.MEASUREMENT, paste.MEASUREMENT)
}
