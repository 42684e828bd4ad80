"""The measurements, by the name under which `tools/benchmark.py` knows them: a new one is a file and a line here."""

from thingstuff.benchmark import check, evaluate, merge, paste, predict, ray_engine, train
from thingstuff.benchmark.measure import Measurement

MEASUREMENTS: dict[str, Measurement] = {
    module.MEASUREMENT.name: module.MEASUREMENT
    for module in (check, evaluate, merge, paste, predict, ray_engine, train)
}
