"""The measurements, by the name under which `tools/benchmark.py` knows them: a new one is a file and a line here."""

from thingstuff.benchmark import mask_ap, merge, paste
from thingstuff.benchmark.measure import Measurement

MEASUREMENTS: dict[str, Measurement] = {m.name: m for m in (mask_ap.MEASUREMENT, merge.MEASUREMENT, paste.MEASUREMENT)}
